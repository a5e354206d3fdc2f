# Target linformer_warnings: the warnings under which everything of this project compiles. Linked PRIVATE, never exported.

add_library(linformer_warnings INTERFACE)
if(MSVC)
  target_compile_options(linformer_warnings INTERFACE /W4 $<$<BOOL:${LINFORMER_WARNINGS_AS_ERRORS}>:/WX>)
else()
  target_compile_options(linformer_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion -Wshadow
    $<$<BOOL:${LINFORMER_WARNINGS_AS_ERRORS}>:-Werror>)
endif()
