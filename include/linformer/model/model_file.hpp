#pragma once

#include <linformer/io/parameters.hpp>
#include <linformer/model/claimed_sizes.hpp>
#include <linformer/model/self_test.hpp>

#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <optional>

namespace linformer::inline LINFORMER_ABI {

// A model file is a safetensors file of the model's parameters, and of its self-test: `self_test.ids` (I32, one
// sequence) and `self_test.logits`, which a program in any language can replay. See model/self_test.hpp.

/// What loading a model file may ask for. All fields may be left out.
struct ModelFileOptions {
  bool self_test = true;              ///< whether a self-test in the file is replayed
  std::optional<double> tolerance{};  ///< relative to the largest logit; `self_test_tolerance` if it is left out
};

namespace detail {

inline constexpr const char* self_test_ids_name = "self_test.ids";
inline constexpr const char* self_test_logits_name = "self_test.logits";

/// The self-test in a file, for a model of this configuration.
/// @throws SafetensorsFailure missing_tensor, shape_mismatch or unreadable_dtype; Error out_of_range
template <Scalar T>
[[nodiscard]] SelfTest<T> read_self_test(const SafetensorsFile& file, const EncoderConfig& config) {
  const auto fail = [&](SafetensorsError rule, std::string_view name, std::string expected, std::string actual) {
    throw SafetensorsFailure(rule, file.name(), name, std::move(expected), std::move(actual));
  };
  SelfTest<T> test;
  const SafetensorsTensor* const ids = file.find(self_test_ids_name);
  const SafetensorsTensor* const logits = file.find(self_test_logits_name);
  if (ids == nullptr) fail(SafetensorsError::missing_tensor, self_test_ids_name, "a tensor", "none");
  if (logits == nullptr) fail(SafetensorsError::missing_tensor, self_test_logits_name, "a tensor", "none");
  if (ids->dtype != Dtype::i32) {
    fail(SafetensorsError::unreadable_dtype, ids->name, "I32", std::string(dtype_name(ids->dtype)));
  }
  if (ids->shape.size() != 1 || ids->shape[0] < 1 || ids->shape[0] > config.sequence_length) {
    fail(SafetensorsError::shape_mismatch, ids->name, "1 to " + std::to_string(config.sequence_length) + " tokens",
         shape_text(ids->shape));
  }
  if (logits->shape.size() != 2) {
    fail(SafetensorsError::shape_mismatch, logits->name, "a matrix", shape_text(logits->shape));
  }
  test.ids.resize(static_cast<std::size_t>(ids->shape[0]));
  std::memcpy(test.ids.data(), ids->bytes.data(), ids->bytes.size());
  for (const std::int32_t id : test.ids) {
    require(
        id >= 0 && id < config.vocabulary_size, ErrorCode::out_of_range, file.name() + ": " + ids->name,
        [&] { return "ids from 0 to " + std::to_string(config.vocabulary_size - 1); },
        [&] { return std::to_string(id); });
  }
  test.logits.resize(logits->shape[0], logits->shape[1]);
  file.read(logits->name, logits->shape,
            std::span<T>(test.logits.data(), static_cast<std::size_t>(test.logits.size())));
  return test;
}

}  // namespace detail

/// Holds the sizes of a configuration that came with a model file against the file's tensors, so that no model is made
/// of sizes that a file only claims. A call for whoever makes the model that `load_model` then reads.
/// @param config resolved; @param classes of a classifier, 0 for another model
/// @throws SafetensorsFailure naming the file and the first parameter that is missing or of another shape; Error
///   invalid_configuration as `Encoder`, and for tables without a tensor beyond `computed_values_limit`
inline void require_claimed_sizes(const SafetensorsFile& file, const EncoderConfig& config, Index classes = 0) {
  detail::for_each_claimed_size(
      config, [&](const std::string& parameter, Shape shape) { static_cast<void>(file.require(parameter, shape)); });
  const Index shape[] = {classes, config.model_width};
  if (classes > 0) static_cast<void>(file.require("classifier.out_proj.weight", shape));
}

/// Writes a model, `MaskedLanguageModel` or `SequenceClassifier`, with a self-test to a safetensors file, atomically.
/// @throws as `write_safetensors`; Error unsupported for a model that holds a part of its positions
template <template <Scalar, class> class Model, Scalar T>
void save_model(const std::string& path, const Model<T, Trainable>& model, const Execution& execution,
                const std::map<std::string, std::string>& metadata = {}) {
  static_assert(std::endian::native == std::endian::little);
  detail::require_whole(model);
  SelfTest<T> test{self_test_ids(model.encoder().config()), {}};
  test.logits = self_test_logits(model, test.ids, execution);
  std::vector<SafetensorsTensor> tensors = parameter_tensors(model);
  tensors.push_back({detail::self_test_ids_name,
                     Dtype::i32,
                     {static_cast<Index>(test.ids.size())},
                     std::as_bytes(std::span(test.ids))});
  const Index shape[] = {test.logits.rows(), test.logits.cols()};
  tensors.push_back(
      safetensors_tensor(detail::self_test_logits_name, shape,
                         std::span<const T>(test.logits.data(), static_cast<std::size_t>(test.logits.size()))));
  write_safetensors(path, std::move(tensors), metadata);
}

/// Reads a model from a file that holds its parameters, and maybe a self-test, which is replayed.
/// @return how far what it gave is from what was saved, relative to the largest logit; nothing where none was replayed
/// @throws SafetensorsFailure as `load_parameters`, and for a self-test that is none or of another vocabulary, with the
/// model as it was
/// @throws Error self_test_failed, naming the file, the largest difference and the tolerance, with the model as the
/// file
///   has it: a weight is another than when it was saved, or this program computes something else
template <template <Scalar, class> class Model, Scalar T>
std::optional<double> load_model(const SafetensorsFile& file, Model<T, Trainable>& model, const Execution& execution,
                                 const ModelFileOptions& options = {}) {
  const bool replays = options.self_test && (file.find(detail::self_test_ids_name) != nullptr ||
                                             file.find(detail::self_test_logits_name) != nullptr);
  SelfTest<T> test;
  if (replays) test = detail::read_self_test<T>(file, model.encoder().config());
  load_parameters(file, model, {detail::self_test_ids_name, detail::self_test_logits_name});
  if (!replays) return std::nullopt;
  const double difference = self_test_difference(model, test, execution);
  const double tolerance = options.tolerance.value_or(self_test_tolerance(model.encoder().config()));
  const auto text = [](double value) {
    std::array<char, 32> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value, std::chars_format::general, 3);
    return std::string(digits.data(), end.ptr);
  };
  detail::require(
      difference <= tolerance, ErrorCode::self_test_failed, file.name() + ": " + detail::self_test_logits_name,
      [&] { return "the model's logits within " + text(tolerance) + " of the largest"; },
      [&] { return "a difference of " + text(difference); });
  return difference;
}

}  // namespace linformer::inline LINFORMER_ABI
