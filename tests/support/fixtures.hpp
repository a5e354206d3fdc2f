#pragma once

#include "support/oracle.hpp"

#include <fstream>
#include <istream>
#include <stdexcept>

#ifndef LINFORMER_TEST_DIR
#error "LINFORMER_TEST_DIR must name the folder tests/"
#endif

/// The tensors of each case of fixtures/attention.txt, which fixtures/make_fixtures.py wrote.
inline std::map<std::string, oracle::Parameters> read_fixtures() {
  std::ifstream file(LINFORMER_TEST_DIR "/fixtures/attention.txt");
  if (!file) throw std::runtime_error("cannot read " LINFORMER_TEST_DIR "/fixtures/attention.txt");
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
