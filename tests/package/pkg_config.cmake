# Run by ctest: compiles a program with what the installed linformer.pc says, and nothing from CMake.

set(ENV{PKG_CONFIG_PATH} "${prefix}/share/pkgconfig")
execute_process(COMMAND "${pkg_config}" --exists eigen3 RESULT_VARIABLE status)
if(NOT status EQUAL 0)
  message("skipped: pkg-config knows no eigen3 on this machine")
  return()
endif()
execute_process(COMMAND "${pkg_config}" --cflags --libs linformer
  OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${flags}")
separate_arguments(found UNIX_COMMAND "${found}")
execute_process(COMMAND "${compiler}" ${flags} "${source}" -o "${program}" ${found} COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${program}" COMMAND_ERROR_IS_FATAL ANY)
