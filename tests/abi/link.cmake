# Run by ctest: cmake -Dcompiler=… -Dflags=… -Disa=… -Dname=… -Dsource=… -Dbinary=… -P link.cmake

separate_arguments(flags UNIX_COMMAND "${flags}")
separate_arguments(isa UNIX_COMMAND "${isa}")
file(MAKE_DIRECTORY "${binary}")

function(compile name)
  execute_process(COMMAND "${compiler}" ${flags} ${ARGN} -c "${source}/${name}.cpp" -o "${binary}/${name}.o"
    COMMAND_ERROR_IS_FATAL ANY)
endfunction()
function(link name status errors)
  execute_process(COMMAND "${compiler}" ${flags} "${binary}/${name}.o" "${binary}/library.o" -o "${binary}/${name}"
    RESULT_VARIABLE link_status ERROR_VARIABLE link_errors)
  set(${status} ${link_status} PARENT_SCOPE)
  set(${errors} "${link_errors}" PARENT_SCOPE)
endfunction()

compile(library ${isa})
compile(pass_type)
compile(pass_numbers)

link(pass_type status errors)
if(status EQUAL 0)
  message(FATAL_ERROR "objects with and without '${isa}' that share a type of the library have linked")
elseif(NOT errors MATCHES "undefined [^\n]*sum_of_output[^\n]*linformer")
  message(FATAL_ERROR "the link failed, but for another reason:\n${errors}")
endif()

link(pass_numbers status errors)
if(NOT status EQUAL 0)
  message(FATAL_ERROR "objects with and without '${isa}' that share no type do not link:\n${errors}")
endif()
execute_process(COMMAND "${binary}/pass_numbers" ${name} COMMAND_ERROR_IS_FATAL ANY)
