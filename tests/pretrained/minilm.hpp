#pragma once

#include <cstdlib>
#include <filesystem>
#include <optional>

/// The folder that scripts/fetch_minilm.sh fills: $LINFORMER_MINILM, or build/minilm of the project; nothing where
/// there is no such checkpoint.
inline std::optional<std::filesystem::path> minilm_folder() {
  const char* const named = std::getenv("LINFORMER_MINILM");
#ifdef LINFORMER_TEST_DIR
  const std::filesystem::path tests(LINFORMER_TEST_DIR);
#else
  const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path().parent_path();
#endif
  const std::filesystem::path folder = named != nullptr ? named : tests.parent_path() / "build" / "minilm";
  if (!std::filesystem::exists(folder / "model.safetensors")) return std::nullopt;
  return folder;
}
