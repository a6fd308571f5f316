# Where things go: bin/ lib/ include/hone/ share/hone/ and the CMake package files. Two components, each of use alone.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/Hone)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/HoneConfig.cmake.in ${CMAKE_BINARY_DIR}/HoneConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/HoneConfigVersion.cmake COMPATIBILITY SameMinorVersion)

function(install_component component target)
  install(TARGETS ${target} EXPORT Hone_${component} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT ${component}
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${component})
  install(EXPORT Hone_${component} NAMESPACE Hone:: DESTINATION ${package_dir} COMPONENT ${component})
  install(FILES ${CMAKE_BINARY_DIR}/HoneConfig.cmake ${CMAKE_BINARY_DIR}/HoneConfigVersion.cmake DESTINATION ${package_dir} COMPONENT ${component})
endfunction()

install_component(runtime hone_runtime)
install(FILES include/hone/runtime.hpp include/hone/export.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hone COMPONENT runtime)
if(HONE_TOOLKIT)
  install_component(toolkit hone_toolkit)
  install(DIRECTORY include/hone DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT toolkit)
  install(TARGETS hone RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT toolkit)
  install(FILES ${CMAKE_BINARY_DIR}/share/hone/hone_picture.hpp DESTINATION ${CMAKE_INSTALL_DATADIR}/hone COMPONENT toolkit)
endif()
