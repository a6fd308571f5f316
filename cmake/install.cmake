# Where things go: bin/ lib/ include/hone/ share/hone/ and the CMake package files.
include(CMakePackageConfigHelpers)
install(TARGETS hone_runtime EXPORT HoneTargets LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT runtime
        INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
set_target_properties(hone_runtime PROPERTIES EXPORT_NAME runtime)
install(FILES include/hone/runtime.hpp include/hone/export.hpp DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/hone COMPONENT runtime)
install(EXPORT HoneTargets NAMESPACE Hone:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Hone COMPONENT runtime)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/HoneConfig.cmake.in ${CMAKE_BINARY_DIR}/HoneConfig.cmake
                              INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Hone)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/HoneConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/HoneConfig.cmake ${CMAKE_BINARY_DIR}/HoneConfigVersion.cmake
        DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/Hone COMPONENT runtime)
if(HONE_TOOLKIT)
  install(TARGETS hone RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT toolkit)
  install(FILES ${CMAKE_BINARY_DIR}/share/hone/hone_picture.hpp DESTINATION ${CMAKE_INSTALL_DATADIR}/hone COMPONENT toolkit)
endif()
