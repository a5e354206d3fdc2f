# The committed table of normal quantiles is what its script prints: cmake -DPYTHON=… -DSCRIPT=… -DHEADER=… -P this.
execute_process(COMMAND "${PYTHON}" "${SCRIPT}" OUTPUT_VARIABLE printed RESULT_VARIABLE status)
file(READ "${HEADER}" committed)
if(NOT status EQUAL 0 OR NOT printed STREQUAL committed)
  message(FATAL_ERROR "${HEADER} is not what ${SCRIPT} prints")
endif()
