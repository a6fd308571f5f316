# oneDNN as a second provider of kernels, where HONE_ONEDNN asks for it. Hone needs no kernel library: this one is measured
# by `hone tune` beside Hone's own kernels, and taken for the layers where it is faster.
set(onednn_sources "")
if(HONE_ONEDNN)
  find_package(dnnl CONFIG)
  if(NOT TARGET DNNL::dnnl)
    message(FATAL_ERROR "HONE_ONEDNN=ON: oneDNN was not found. Install libdnnl-dev (2.6 or newer), say where it is with "
                        "-Ddnnl_DIR=<folder of dnnl-config.cmake>, or build without it: -DHONE_ONEDNN=OFF")
  endif()
  if(dnnl_VERSION VERSION_LESS 2.6)
    message(FATAL_ERROR "HONE_ONEDNN=ON: oneDNN ${dnnl_VERSION} was found in ${dnnl_DIR}, and 2.6 or newer is needed")
  endif()
  if(NOT DNNL_CPU_THREADING_RUNTIME MATCHES "^(OMP|SEQ|THREADPOOL)$")
    message(FATAL_ERROR "HONE_ONEDNN=ON: oneDNN in ${dnnl_DIR} computes on threads of ${DNNL_CPU_THREADING_RUNTIME}, which would "
                        "run beside those of Hone's pool; a build with OpenMP (as Debian's), SEQ or THREADPOOL is needed")
  endif()
  message(STATUS "oneDNN ${dnnl_VERSION} (${DNNL_CPU_THREADING_RUNTIME}) offers kernels beside Hone's own")
  set(onednn_sources onednn/library.cpp onednn/post_ops.cpp onednn/product.cpp onednn/kernels.cpp)
endif()
