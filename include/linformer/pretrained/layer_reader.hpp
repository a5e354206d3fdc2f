#pragma once

#include <linformer/attention/linformer_attention.hpp>
#include <linformer/io/safetensors.hpp>

#include <set>
#include <utility>

namespace linformer::inline LINFORMER_ABI::detail {

/// Takes the parameters of one layer out of a file: those whose names begin with a prefix. Tensors that PyTorch's model
/// shares are in the file once; `safetensors.torch.save_model` leaves their other names in the metadata.
class LayerReader {
 public:
  LayerReader(const SafetensorsFile& file, std::string prefix) : file_(&file), prefix_(std::move(prefix)) {}

  [[nodiscard]] const SafetensorsTensor* find(const std::string& name) const { return file_->find(key(name)); }
  [[nodiscard]] bool has(const std::string& name) const { return find(name) != nullptr; }
  /// The file and the tensor, for messages.
  [[nodiscard]] std::string place(const std::string& name) const { return file_->name() + ": " + key(name); }

  /// Rows and columns. @throws SafetensorsFailure missing_tensor, shape_mismatch
  [[nodiscard]] std::pair<Index, Index> matrix_shape(const std::string& name) const {
    const SafetensorsTensor* const tensor = find(name);
    if (tensor == nullptr) {
      throw SafetensorsFailure(SafetensorsError::missing_tensor, file_->name(), key(name), "a tensor", "none");
    }
    if (tensor->shape.size() != 2 || tensor->bytes.empty()) {
      throw SafetensorsFailure(SafetensorsError::shape_mismatch, file_->name(), key(name), "a matrix",
                               shape_text(tensor->shape));
    }
    return {tensor->shape[0], tensor->shape[1]};
  }

  /// @throws SafetensorsFailure missing_tensor, shape_mismatch
  void require_matrix(const std::string& name, Index rows, Index columns) const {
    const Index shape[] = {rows, columns};
    static_cast<void>(file_->require(key(name), shape));
  }

  /// @throws as `SafetensorsFile::read`
  template <Scalar T>
  [[nodiscard]] Matrix<T> matrix(const std::string& name, Index rows, Index columns) {
    const Index shape[] = {rows, columns};
    require_matrix(name, rows, columns);
    Matrix<T> values(rows, columns);
    read(name, shape, values);
    return values;
  }
  template <Scalar T>
  [[nodiscard]] Vector<T> vector(const std::string& name, Index size) {
    const Index shape[] = {size};
    static_cast<void>(file_->require(key(name), shape));
    Vector<T> values(size);
    read(name, shape, values);
    return values;
  }

  /// @throws SafetensorsFailure unexpected_tensor if one of the layer's was not taken
  void finish() const {
    for (const SafetensorsTensor& tensor : file_->tensors()) {
      if (!tensor.name.starts_with(prefix_) || taken_.contains(tensor.name)) continue;
      throw SafetensorsFailure(SafetensorsError::unexpected_tensor, file_->name(), tensor.name, "no such tensor",
                               "one of shape " + printable(shape_text(tensor.shape)));
    }
  }

 private:
  [[nodiscard]] std::string key(const std::string& name) const {
    const std::string whole = prefix_ + name;
    const auto kept = file_->metadata().find(whole);
    return file_->find(whole) == nullptr && kept != file_->metadata().end() ? kept->second : whole;
  }
  template <class Values>
  void read(const std::string& name, Shape shape, Values& values) {
    file_->read(key(name), shape, std::span(values.data(), static_cast<std::size_t>(values.size())));
    taken_.insert(key(name));
  }

  const SafetensorsFile* file_;
  std::string prefix_;
  std::set<std::string> taken_;
};

/// d of a layer whose queries have that width. @throws Error invalid_configuration
[[nodiscard]] inline Index head_width_of(Index width, Index heads) {
  require_config(heads >= 1 && width % heads == 0, "heads",
                 "a divisor of the width of queries " + std::to_string(width), heads);
  return width / heads;
}

/// @param name of the projection that k and n were read of @throws Error invalid_configuration naming it for k above n
inline void require_projected_length(const LayerReader& reader, const std::string& name, Index k, Index n) {
  require_config(k <= n, reader.place(name), "k of at most n, " + std::to_string(n), k);
}

/// Sets E or F of a head, and of those that share it. @param weight k × n
template <Scalar T>
void set_projection(LinformerAttention<T>& attention, Index head, Side side, Matrix<T> weight) {
  std::get<LearnedProjection<T>>(attention.projections().projection(0, head, side).kind()).weight = std::move(weight);
}

}  // namespace linformer::inline LINFORMER_ABI::detail
