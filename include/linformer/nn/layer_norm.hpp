#pragma once

#include <linformer/core/parameters.hpp>
#include <linformer/kernels/compute.hpp>
#include <linformer/kernels/layer_norm.hpp>

#include <algorithm>
#include <vector>

namespace linformer::inline LINFORMER_ABI {

/// The mean of each row and the reciprocal of its deviation, what backward of layer norm needs beside its input.
template <Scalar T>
struct RowStatistics {
  std::vector<T> means, reciprocals;

  void resize(Index rows) {
    means.resize(static_cast<std::size_t>(rows));
    reciprocals.resize(static_cast<std::size_t>(rows));
  }
};

/// Layer norm with its scale γ and shift β.
template <Scalar T>
struct LayerNorm {
  Vector<T> weight, bias;  ///< γ and β, D each
  T epsilon = T{1e-5F};

  /// γ = 1 and β = 0. @param width D
  static LayerNorm identity(Index width, double epsilon) {
    return {Vector<T>::Ones(width), Vector<T>::Zero(width), static_cast<T>(epsilon)};
  }

  /// @param x rows × D, @param y rows × D: x itself, or memory apart from it; @param statistics null for none
  void forward(const ConstMatrixRef<T>& x, MatrixRef<T> y, RowStatistics<T>* statistics,
               const Execution& execution) const {
    if (statistics != nullptr) statistics->resize(x.rows());
    for_each_block(x.rows(), execution, [&](Index first, Index count, Index) {
      forward_rows(execution.isa, first, x.middleRows(first, count), y.middleRows(first, count), statistics);
    });
  }

  /// Of some rows, on the calling thread. @param first the first of them among all
  /// @param statistics with room for all rows, or null
  void forward_rows(Isa isa, Index first, const ConstMatrixRef<T>& x, MatrixRef<T> y,
                    RowStatistics<T>* statistics) const {
    layer_norm<T>(isa, x, weight, bias, epsilon, y,
                  statistics != nullptr ? part(statistics->means, first, x.rows()) : std::span<T>(),
                  statistics != nullptr ? part(statistics->reciprocals, first, x.rows()) : std::span<T>());
  }

  /// Replaces the gradient of y by that of x, and adds to those of γ and β, summed in blocks of rows.
  void backward(const ConstMatrixRef<T>& x, const RowStatistics<T>& statistics, MatrixRef<T> y_gradient,
                LayerNorm& gradient, const Execution& execution) const {
    const Workspace::Scope scope(execution.workspace);
    const Index blocks = (x.rows() + block_rows - 1) / block_rows;
    auto to_weight = execution.workspace.template matrix<T>(blocks, weight.size());
    auto to_bias = execution.workspace.template matrix<T>(blocks, weight.size());
    to_weight.setZero();
    to_bias.setZero();
    for_each_block(x.rows(), execution, [&](Index first, Index count, Index block) {
      layer_norm_gradient<T>(execution.isa, x.middleRows(first, count), weight, part(statistics.means, first, count),
                             part(statistics.reciprocals, first, count), y_gradient.middleRows(first, count),
                             to_weight.row(block).transpose(), to_bias.row(block).transpose());
    });
    for (Index block = 0; block < blocks; ++block) {
      gradient.weight += to_weight.row(block).transpose();
      gradient.bias += to_bias.row(block).transpose();
    }
  }

  void for_each_parameter(const ParameterName& name, const ParameterVisitor<T>& visitor) {
    visit(*this, name, visitor);
  }
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<const T>& visitor) const {
    visit(*this, name, visitor);
  }

 private:
  static constexpr Index block_rows = 256;

  template <class Work>
  static void for_each_block(Index rows, const Execution& execution, const Work& work) {
    execution.run((rows + block_rows - 1) / block_rows, [&](Index block, const Compute&) {
      work(block * block_rows, std::min(block_rows, rows - block * block_rows), block);
    });
  }

  template <class Values>
  static auto part(Values& values, Index first, Index count) {
    return std::span(values).subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(count));
  }

  template <class Self, class Value>
  static void visit(Self& self, const ParameterName& name, const ParameterVisitor<Value>& visitor) {
    detail::visit_vector(name + ".weight", self.weight, visitor);
    detail::visit_vector(name + ".bias", self.bias, visitor);
  }
};

}  // namespace linformer::inline LINFORMER_ABI
