#pragma once

#include "support/oracle.hpp"

#include <filesystem>
#include <fstream>
#include <stdexcept>

/// The tensors of each case of a file in fixtures/: attention.txt, which make_fixtures.py wrote, or training.txt, which
/// make_training_fixtures.py wrote.
inline std::map<std::string, oracle::Parameters> read_fixtures(const std::string& name_of_file = "attention.txt") {
#ifdef LINFORMER_TEST_DIR
  const std::filesystem::path tests(LINFORMER_TEST_DIR);
#else
  const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path().parent_path();
#endif
  const std::filesystem::path path = tests / "fixtures" / name_of_file;
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  std::map<std::string, oracle::Parameters> cases;
  std::string word, name;
  while (file >> word) {
    if (word == "case") {
      file >> name;
      continue;
    }
    linformer::Index rows = 0, cols = 0;
    file >> rows >> cols;
    oracle::Table& tensor = cases[name][word];
    tensor.resize(rows, cols);
    for (linformer::Index i = 0; i < tensor.size(); ++i) file >> tensor.data()[i];
    if (!file) throw std::runtime_error("fixtures: " + word + " is cut off");
  }
  return cases;
}
