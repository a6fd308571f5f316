# Sources of this folder for the library of `src/cpu`, and their flags: loops are compiled once for each instruction set, the row files
# around them for the baseline.
set(training_sources "")
foreach(file convolution_geometry convolution_rows variable_weights winograd_rows winograd_gradient_rows weight_gradient_rows tile_convolution_rows tile_gradient_rows depthwise_rows batch_norm_rows loss_rows pooling_rows optimizer_rows isa)
  list(APPEND training_sources kernels/training/${file}.cpp)
endforeach()
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  hone_isa_sources("${avx512};-mavx512bf16;-mprefer-vector-width=512" kernels/training/training_avx512_bf16.cpp)
  hone_isa_sources("${avx512};-mprefer-vector-width=512" kernels/training/training_avx512.cpp)
  hone_isa_sources("${avx2}" kernels/training/training_avx2.cpp)
  hone_isa_sources("${avx512};-mavx512bf16;-mamx-tile;-mamx-int8;-mamx-bf16" kernels/training/training_amx.cpp)
  list(APPEND training_sources kernels/training/training_avx512_bf16.cpp kernels/training/training_avx512.cpp
    kernels/training/training_avx2.cpp kernels/training/training_amx.cpp kernels/training/training_amx_stand_in.cpp)
endif()
