# One line a dependency: finds it, or downloads it if LINFORMER_FETCH_DEPENDENCIES is on, or says what to do.

include(FetchContent)
if(POLICY CMP0135)
  cmake_policy(SET CMP0135 NEW)  # downloaded files get the time of their extraction
endif()

# Stops with a hint, unless downloads are allowed.
function(linformer_allow_fetch what debian_package off_switch)
  if(LINFORMER_FETCH_DEPENDENCIES)
    message(STATUS "linformer: ${what} not found here; downloading it (LINFORMER_FETCH_DEPENDENCIES is ON)")
    return()
  endif()
  if(off_switch)
    set(off_hint "\n  - or do without: -D${off_switch}=OFF")
  endif()
  message(FATAL_ERROR "linformer: ${what} not found. Do one of these:\n"
    "  - install it (Debian, Ubuntu: apt-get install ${debian_package}; or run scripts/install_dependencies.sh)\n"
    "  - name its place: -DCMAKE_PREFIX_PATH=<folder>\n"
    "  - let CMake download it: -DLINFORMER_FETCH_DEPENDENCIES=ON${off_hint}")
endfunction()

# Target Eigen3::Eigen, version 3.4 or later. The version is compared here because Eigen's own version file answers to
# its own major version only, and to no range; so the first Eigen on the caller's search path wins, whether 3.4 or 5.
# Twin of the lookup in linformerConfig.cmake.in.
function(linformer_require_eigen)
  if(TARGET Eigen3::Eigen)
    return()
  endif()
  find_package(Eigen3 QUIET NO_MODULE)
  if(Eigen3_FOUND AND Eigen3_VERSION VERSION_GREATER_EQUAL 3.4)
    message(STATUS "linformer: Eigen ${Eigen3_VERSION} (${Eigen3_DIR})")
    return()
  endif()
  if(Eigen3_FOUND)
    message(FATAL_ERROR "linformer: Eigen 3.4 or later is needed, but ${Eigen3_DIR} holds ${Eigen3_VERSION}")
  endif()
  linformer_allow_fetch("Eigen 3.4 or later" libeigen3-dev "")
  # Headers only: Eigen's own build adds options and targets that nobody here wants.
  FetchContent_Declare(linformer_eigen
    URL https://gitlab.com/libeigen/eigen/-/archive/3.4.0/eigen-3.4.0.tar.gz
    URL_HASH SHA256=8586084f71f9bde545ee7fa6d00288b264a2b7ac3607b974e54d13e7162c1c72
    SOURCE_SUBDIR headers_only)
  FetchContent_MakeAvailable(linformer_eigen)
  add_library(Eigen3::Eigen INTERFACE IMPORTED GLOBAL)
  target_include_directories(Eigen3::Eigen INTERFACE "${linformer_eigen_SOURCE_DIR}")
endfunction()

# A macro, since a package's variables and module path are for its caller.
macro(linformer_require package what debian_package off_switch url sha256)
  find_package(${package} QUIET NO_MODULE)
  if(NOT ${package}_FOUND)
    linformer_allow_fetch("${what}" ${debian_package} ${off_switch})
    FetchContent_Declare(linformer_${package} URL ${url} URL_HASH SHA256=${sha256})
    FetchContent_MakeAvailable(linformer_${package})
  endif()
endmacro()

# Target Catch2::Catch2, and the module Catch.
macro(linformer_require_catch2)
  linformer_require(Catch2 "Catch2 2.13 or 3" catch2 LINFORMER_BUILD_TESTS
    https://github.com/catchorg/Catch2/archive/v2.13.10.tar.gz
    d54a712b7b1d7708bc7a819a8e6e47b2fde9536f487b89ccbca295072a7d9943)
  if(linformer_catch2_SOURCE_DIR)
    list(APPEND CMAKE_MODULE_PATH "${linformer_catch2_SOURCE_DIR}/contrib")
  endif()
endmacro()

# Target benchmark::benchmark.
macro(linformer_require_benchmark)
  set(BENCHMARK_ENABLE_TESTING OFF CACHE INTERNAL "")
  set(BENCHMARK_ENABLE_INSTALL OFF CACHE INTERNAL "")
  linformer_require(benchmark "Google Benchmark" libbenchmark-dev LINFORMER_BUILD_BENCHMARKS
    https://github.com/google/benchmark/archive/refs/tags/v1.7.1.tar.gz
    6430e4092653380d9dc4ccb45a1e2dc9259d581f4866dc0759713126056bc1d7)
endmacro()

# Target CLI11::CLI11, for the examples that take options.
macro(linformer_require_cli11)
  linformer_require(CLI11 "CLI11" libcli11-dev LINFORMER_BUILD_EXAMPLES
    https://github.com/CLIUtils/CLI11/archive/v2.1.2.tar.gz
    26291377e892ba0e5b4972cdfd4a2ab3bf53af8dac1f4ea8fe0d1376b625c8cb)
endmacro()

# Target linformer::io where nlohmann-json is there: headers in io/ that read or write JSON need it, nothing else does.
# They are written for POSIX. Twin of the component in linformerConfig.cmake.in.
function(linformer_add_io)
  if(WIN32)
    message(STATUS "linformer: no linformer::io on Windows, it needs POSIX")
    return()
  endif()
  find_package(nlohmann_json 3.10 QUIET NO_MODULE)
  if(NOT TARGET nlohmann_json::nlohmann_json)
    message(STATUS "linformer: nlohmann-json 3.10 or later not found, so there is no linformer::io, which reads and writes "
      "safetensors files (nlohmann-json3-dev)")
    return()
  endif()
  message(STATUS "linformer: nlohmann-json ${nlohmann_json_VERSION}, for linformer::io")
  add_library(linformer_io INTERFACE)
  add_library(linformer::io ALIAS linformer_io)
  target_link_libraries(linformer_io INTERFACE linformer::linformer nlohmann_json::nlohmann_json)
endfunction()

# Target linformer_openblas where OpenBLAS is there. Its package, since the cblas.h of a compiler's search path may be
# another BLAS's.
macro(linformer_find_openblas)
  find_package(OpenBLAS QUIET NO_MODULE)
  if(OpenBLAS_FOUND AND NOT TARGET linformer_openblas)
    add_library(linformer_openblas INTERFACE)
    target_include_directories(linformer_openblas SYSTEM INTERFACE ${OpenBLAS_INCLUDE_DIRS})
    target_link_libraries(linformer_openblas INTERFACE ${OpenBLAS_LIBRARIES})
    target_compile_definitions(linformer_openblas INTERFACE LINFORMER_BENCH_OPENBLAS)
    message(STATUS "linformer: OpenBLAS ${OpenBLAS_VERSION}, takes part in kernel_benchmark")
  elseif(NOT OpenBLAS_FOUND)
    message(STATUS "linformer: OpenBLAS not found, kernel_benchmark does without (libopenblas-dev)")
  endif()
endmacro()

# Target linformer_onednn where oneDNN is there. Header and library are looked for by name, since its package may insist
# on an OpenCL that nobody here needs.
function(linformer_find_onednn)
  find_path(LINFORMER_ONEDNN_INCLUDE_DIR dnnl.hpp)
  find_library(LINFORMER_ONEDNN_LIBRARY dnnl)
  mark_as_advanced(LINFORMER_ONEDNN_INCLUDE_DIR LINFORMER_ONEDNN_LIBRARY)
  if(NOT LINFORMER_ONEDNN_INCLUDE_DIR OR NOT LINFORMER_ONEDNN_LIBRARY OR WIN32)
    message(STATUS "linformer: oneDNN not found, kernel_benchmark does without (libdnnl-dev)")
    return()
  endif()
  add_library(linformer_onednn INTERFACE)
  target_include_directories(linformer_onednn SYSTEM INTERFACE "${LINFORMER_ONEDNN_INCLUDE_DIR}")
  target_link_libraries(linformer_onednn INTERFACE "${LINFORMER_ONEDNN_LIBRARY}" ${CMAKE_DL_LIBS})
  target_compile_definitions(linformer_onednn INTERFACE LINFORMER_BENCH_ONEDNN)
  message(STATUS "linformer: oneDNN (${LINFORMER_ONEDNN_LIBRARY}), takes part in kernel_benchmark")
endfunction()
