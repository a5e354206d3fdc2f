#pragma once

#include <linformer/io/parameters.hpp>
#include <linformer/parallel/part.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

namespace detail {

/// What names of tensors begin with that a file of this library's may have beside its encoder's.
inline constexpr std::array<std::string_view, 3> beside_encoder{"lm_head.", "classifier.", "self_test."};

/// What a file's tensors make up, for messages.
[[nodiscard]] inline std::string model_in(const SafetensorsFile& file) {
  if (file.find("classifier.out_proj.weight") != nullptr) return "a classifier";
  return file.find("lm_head.bias") != nullptr ? "a masked language model" : "no model's head";
}

/// Where the values that a model holds of a parameter are in the whole: a matrix of which some rows and columns are
/// held, or all.
struct HeldValues {
  std::vector<Index> shape;  ///< of the whole
  Index row = 0, column = 0;
};

template <class Model>
[[nodiscard]] const auto& encoder_of(const Model& model) {
  if constexpr (requires { model.encoder(); }) {
    return model.encoder();
  } else {
    return model;
  }
}

/// @param shape of what is held
template <class Encoder>
[[nodiscard]] HeldValues held_values(const Encoder& encoder, const std::string& parameter, Shape shape,
                                     const std::vector<std::string>& partial) {
  HeldValues held{{shape.begin(), shape.end()}};
  if (std::find(partial.begin(), partial.end(), parameter) == partial.end()) return held;
  const bool positions = parameter.starts_with("embeddings.");  // rows of their table; columns of E and F
  held.shape[positions ? 0 : 1] = encoder.config().sequence_length;
  (positions ? held.row : held.column) = encoder.held().begin;
  return held;
}

}  // namespace detail

/// Reads the parameters of an encoder, or of a model with a head, from a file that holds a whole model, which may be
/// another: an encoder's from a classifier's, say. Of a model that holds a part of its positions only the columns of E
/// and F, and the rows of the table of positions, that it holds are read. All is checked before the first value is
/// written: where an error is thrown, the model is as it was.
/// @return names of the tensors that were left aside: those of heads that the model has not, and of a self-test
/// @throws SafetensorsFailure missing_tensor, shape_mismatch or unreadable_dtype; unexpected_tensor for one that is
///   neither read nor left aside, as that of a layer too many
template <class Model>
[[nodiscard]] std::vector<std::string> load_part(const SafetensorsFile& file, Model& model) {
  const auto& encoder = detail::encoder_of(std::as_const(model));
  const std::vector<std::string> partial = encoder.partial_parameters();
  std::set<std::string> names(partial.begin(), partial.end());  // an empty part is no parameter
  std::as_const(model).for_each_parameter([&](const std::string& name, Shape shape, auto) {
    if (file.find(name) == nullptr) {
      throw SafetensorsFailure(SafetensorsError::missing_tensor, file.name(), name, "a tensor",
                               "none: the file holds " + detail::model_in(file));
    }
    static_cast<void>(file.require(name, detail::held_values(encoder, name, shape, partial).shape));
    names.insert(name);
  });
  std::vector<std::string> aside;
  for (const SafetensorsTensor& tensor : file.tensors()) {
    if (names.contains(tensor.name)) continue;
    const bool known = std::any_of(detail::beside_encoder.begin(), detail::beside_encoder.end(),
                                   [&](std::string_view start) { return tensor.name.starts_with(start); });
    if (!known) {
      throw SafetensorsFailure(SafetensorsError::unexpected_tensor, file.name(), tensor.name, "no such tensor",
                               "one of shape " + detail::printable(detail::shape_text(tensor.shape)));
    }
    aside.push_back(tensor.name);
  }
  model.for_each_parameter([&](const std::string& name, Shape shape, auto values) {
    const detail::HeldValues held = detail::held_values(encoder, name, shape, partial);
    const SafetensorsTensor& tensor = *file.find(name);
    if (std::ranges::equal(held.shape, shape)) return detail::convert_values(tensor.dtype, tensor.bytes, values);
    const auto columns = static_cast<std::size_t>(shape[1]), size = dtype_size(tensor.dtype);
    for (Index row = 0; row < shape[0]; ++row) {
      const auto first = static_cast<std::size_t>((held.row + row) * held.shape[1] + held.column);
      detail::convert_values(tensor.dtype, tensor.bytes.subspan(first * size, columns * size),
                             values.subspan(static_cast<std::size_t>(row) * columns, columns));
    }
  });
  return aside;
}

}  // namespace linformer::inline LINFORMER_ABI
