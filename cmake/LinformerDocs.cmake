# Target docs: the API reference made from the docstrings, in <build>/docs/html.

find_package(Doxygen QUIET)
if(DOXYGEN_FOUND)
  configure_file("${PROJECT_SOURCE_DIR}/docs/Doxyfile.in" Doxyfile @ONLY)
  add_custom_target(docs
    COMMAND Doxygen::doxygen "${CMAKE_CURRENT_BINARY_DIR}/Doxyfile"
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}"
    COMMENT "API reference in ${CMAKE_CURRENT_BINARY_DIR}/docs/html" VERBATIM)
endif()
