# linformer_compile_once(<target> [OWN_HEADER]): the sources of this target share with others one compilation of the
# templates that cost the compiler most, which otherwise takes each of them some seconds, and a precompiled header.
# OWN_HEADER: the target has another level of optimisation than the others, hence a precompiled header of its own.
function(linformer_compile_once target)
  set(header "${PROJECT_SOURCE_DIR}/cmake/compiled_once.hpp")
  if(NOT TARGET linformer_compiled_once)
    add_library(linformer_compiled_once STATIC "${PROJECT_SOURCE_DIR}/cmake/compiled_once.cpp")
    target_link_libraries(linformer_compiled_once PRIVATE linformer::linformer linformer_warnings)
    target_precompile_headers(linformer_compiled_once PRIVATE "${header}")
  endif()
  target_link_libraries(${target} PRIVATE linformer_compiled_once)
  if(ARGN STREQUAL "OWN_HEADER")
    target_precompile_headers(${target} PRIVATE "${header}")
  else()
    target_precompile_headers(${target} REUSE_FROM linformer_compiled_once)
  endif()
endfunction()
