# linformer_compile_kernels_once(<target>): its sources share one compilation of the vector kernels, which otherwise takes
# each of them some seconds, and a precompiled header that has parsed them and Eigen.
function(linformer_compile_kernels_once target)
  if(NOT TARGET linformer_kernels_once)
    add_library(linformer_kernels_once STATIC "${PROJECT_SOURCE_DIR}/cmake/kernels_once.cpp")
    target_link_libraries(linformer_kernels_once PRIVATE linformer::linformer linformer_warnings)
  endif()
  target_link_libraries(${target} PRIVATE linformer_kernels_once)
  target_precompile_headers(${target} PRIVATE "${PROJECT_SOURCE_DIR}/cmake/kernels_once.hpp")
endfunction()
