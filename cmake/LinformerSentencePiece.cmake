# Target linformer::sentencepiece where the SentencePiece library is there: linformer, and what
# linformer/text/sentencepiece_tokenizer.hpp needs besides. The installed package uses this file too. Header and
# libraries are looked for by name, since the library comes with no CMake package.
function(linformer_find_sentencepiece)
  if(TARGET linformer::sentencepiece)
    return()
  endif()
  find_path(LINFORMER_SENTENCEPIECE_INCLUDE_DIR sentencepiece_trainer.h)
  find_library(LINFORMER_SENTENCEPIECE_LIBRARY sentencepiece)
  find_library(LINFORMER_SENTENCEPIECE_TRAIN_LIBRARY sentencepiece_train)
  mark_as_advanced(LINFORMER_SENTENCEPIECE_INCLUDE_DIR LINFORMER_SENTENCEPIECE_LIBRARY
    LINFORMER_SENTENCEPIECE_TRAIN_LIBRARY)
  if(NOT LINFORMER_SENTENCEPIECE_INCLUDE_DIR OR NOT LINFORMER_SENTENCEPIECE_LIBRARY
      OR NOT LINFORMER_SENTENCEPIECE_TRAIN_LIBRARY)
    message(STATUS "linformer: SentencePiece not found, linformer::sentencepiece is left out (libsentencepiece-dev)")
    return()
  endif()
  add_library(linformer::sentencepiece INTERFACE IMPORTED GLOBAL)
  # Named again, the compiler's own folder comes too early for #include_next; CMake does not always know it as such.
  if(NOT LINFORMER_SENTENCEPIECE_INCLUDE_DIR STREQUAL "/usr/include")
    target_include_directories(linformer::sentencepiece SYSTEM INTERFACE "${LINFORMER_SENTENCEPIECE_INCLUDE_DIR}")
  endif()
  target_link_libraries(linformer::sentencepiece INTERFACE linformer::linformer
    "${LINFORMER_SENTENCEPIECE_TRAIN_LIBRARY}" "${LINFORMER_SENTENCEPIECE_LIBRARY}")
endfunction()
