#pragma once

#include <linformer/io/safetensors.hpp>
#include <linformer/io/safetensors_writer.hpp>
#include <linformer/pretrained/load_pretrained.hpp>

#include "support/attention_support.hpp"
#include "support/temporary_folder.hpp"

#include <algorithm>
#include <filesystem>

/// A folder of fixtures/pretrained, which make_pretrained_fixtures.py wrote.
inline std::filesystem::path pretrained_fixture(const std::string& name) {
#ifdef LINFORMER_TEST_DIR
  const std::filesystem::path tests(LINFORMER_TEST_DIR);
#else
  const std::filesystem::path tests = std::filesystem::path(__FILE__).parent_path().parent_path();
#endif
  return tests / "fixtures" / "pretrained" / name;
}

/// What PyTorch makes of the tokens that go with a fixture.
struct PretrainedExpectation {
  TokenBatch tokens;
  Matrix<double> hidden, logits;

  explicit PretrainedExpectation(const std::string& fixture) {
    const SafetensorsFile file = SafetensorsFile::open((pretrained_fixture(fixture) / "expected.safetensors").string());
    const auto integers = [&](const char* name) {
      const SafetensorsTensor& tensor = *file.find(name);
      std::vector<std::int32_t> values(tensor.bytes.size() / sizeof(std::int32_t));
      std::memcpy(values.data(), tensor.bytes.data(), tensor.bytes.size());
      return values;
    };
    const std::vector<std::int32_t> lengths = integers("lengths");
    tokens = {BatchLayout::from_lengths(std::vector<Index>(lengths.begin(), lengths.end())), integers("ids"),
              integers("types")};
    const auto matrix = [&](const char* name, Matrix<double>& values) {
      const SafetensorsTensor& tensor = *file.find(name);
      values.resize(tensor.shape.at(0), tensor.shape.at(1));
      file.read(name, tensor.shape, std::span(values.data(), static_cast<std::size_t>(values.size())));
    };
    matrix("hidden", hidden);
    matrix("logits", logits);
  }
};

/// A checkpoint in memory, to be changed and written to a folder.
struct EditedCheckpoint {
  struct Tensor {
    std::string name;
    Dtype dtype;
    std::vector<Index> shape;
    std::string bytes;
  };
  std::vector<Tensor> tensors;
  nlohmann::json config;

  explicit EditedCheckpoint(const std::string& fixture) {
    const Checkpoint checkpoint = Checkpoint::open(pretrained_fixture(fixture));
    for (const auto& [name, file] : checkpoint.places()) {
      const SafetensorsTensor& tensor = *file->find(name);
      const std::string_view bytes(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
      tensors.push_back({name, tensor.dtype, tensor.shape, std::string(bytes)});
    }
    config = read_json(pretrained_fixture(fixture) / "config.json");
  }

  [[nodiscard]] Tensor& at(const std::string& name) {
    return *std::find_if(tensors.begin(), tensors.end(), [&](const Tensor& tensor) { return tensor.name == name; });
  }
  void remove(const std::string& name) {
    std::erase_if(tensors, [&](const Tensor& tensor) { return tensor.name == name; });
  }
  /// Adds a copy under another name.
  void copy(const std::string& name, const std::string& other) {
    Tensor tensor = at(name);
    tensor.name = other;
    tensors.push_back(std::move(tensor));
  }
  /// Renames all tensors whose names begin so.
  void rename_start(const std::string& start, const std::string& other) {
    for (Tensor& tensor : tensors) {
      if (tensor.name.starts_with(start)) tensor.name = other + tensor.name.substr(start.size());
    }
  }
  /// Stores floats, all of which the type must hold exactly, in 16 bits.
  void convert(Dtype dtype) {
    for (Tensor& tensor : tensors) {
      std::string half;
      for (std::size_t i = 0; i < tensor.bytes.size(); i += 4) {
        std::uint32_t bits = 0;
        std::memcpy(&bits, tensor.bytes.data() + i, 4);
        const std::uint32_t exponent = bits >> 23 & 0xFF;
        std::uint32_t word = bits >> 16;
        if (dtype == Dtype::f16) {
          REQUIRE((exponent == 0 || (exponent > 112 && exponent < 143)));
          word = exponent == 0 ? word & 0x8000 : (word & 0x8000) | (exponent - 112) << 10 | (bits >> 13 & 0x3FF);
        }
        REQUIRE((bits & (dtype == Dtype::f16 ? 0x1FFFU : 0xFFFFU)) == 0);
        half.push_back(static_cast<char>(word & 0xFF));
        half.push_back(static_cast<char>(word >> 8));
      }
      tensor.dtype = dtype;
      tensor.bytes = std::move(half);
    }
  }

  [[nodiscard]] static SafetensorsTensor view(const Tensor& tensor) {
    return {tensor.name, tensor.dtype, tensor.shape, bytes_of(tensor.bytes)};
  }
  void save(const TemporaryFolder& folder) const {
    put(folder.file("config.json"), config.dump());
    std::vector<SafetensorsTensor> views;
    for (const Tensor& tensor : tensors) views.push_back(view(tensor));
    write_safetensors(folder.file("model.safetensors"), std::move(views));
  }
  /// Every other tensor in a second file.
  void save_sharded(const TemporaryFolder& folder) const {
    put(folder.file("config.json"), config.dump());
    std::vector<SafetensorsTensor> views[2];
    nlohmann::json index{{"metadata", {{"total_size", 1}}}, {"weight_map", nlohmann::json::object()}};
    for (std::size_t i = 0; i < tensors.size(); ++i) {
      views[i % 2].push_back(view(tensors[i]));
      index["weight_map"][tensors[i].name] = i % 2 == 0 ? "a.safetensors" : "b.safetensors";
    }
    write_safetensors(folder.file("a.safetensors"), std::move(views[0]));
    write_safetensors(folder.file("b.safetensors"), std::move(views[1]));
    put(folder.file("model.safetensors.index.json"), index.dump());
  }
};
