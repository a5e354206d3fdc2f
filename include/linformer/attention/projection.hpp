#pragma once

#include <linformer/attention/convolution.hpp>
#include <linformer/attention/fixed_projection.hpp>
#include <linformer/attention/frozen_projection.hpp>
#include <linformer/attention/learned_projection.hpp>
#include <linformer/attention/pooling.hpp>
#include <linformer/core/parameters.hpp>

#include <cmath>
#include <optional>
#include <variant>

namespace linformer::inline LINFORMER_ABI {

static_assert(SequenceProjection<LearnedProjection<float>, float> &&
              SequenceProjection<FixedProjection<float>, float> && SequenceProjection<MeanPooling<float>, float> &&
              SequenceProjection<GrowingPooling<float>, float> && SequenceProjection<MaxPooling<float>, float> && SequenceProjection<Convolution<float>, float> &&
              SequenceProjection<DepthwiseConvolution<float>, float> &&
              SequenceProjection<FrozenProjection<float>, float>);

/// A sequence projection of any kind, with the additive vector r that it may own.
template <Scalar T>
class Projection {
 public:
  using Kind = std::variant<LearnedProjection<T>, FixedProjection<T>, MeanPooling<T>, GrowingPooling<T>, MaxPooling<T>,
                            Convolution<T>, DepthwiseConvolution<T>, FrozenProjection<T>>;

  explicit Projection(Kind kind, Vector<T> bias = {}) : kind_(std::move(kind)), bias_(std::move(bias)) {
    detail::require(bias_.size() == 0 || bias_.size() == rows(), ErrorCode::shape_mismatch, "projection bias",
                    std::to_string(rows()) + " values", std::to_string(bias_.size()));
  }

  /// k
  [[nodiscard]] Index rows() const {
    return std::visit([](const auto& p) { return p.rows(); }, kind_);
  }
  /// n
  [[nodiscard]] Index columns() const {
    return std::visit([](const auto& p) { return p.columns(); }, kind_);
  }
  /// Positions of the tokens that it can project: all n, unless a process holds the columns of its part alone.
  [[nodiscard]] Part held() const {
    return std::visit(
        [](const auto& p) {
          if constexpr (requires { p.held(); }) {
            return p.held();
          } else {
            return Part{0, p.columns()};
          }
        },
        kind_);
  }
  /// Whether (E·X)·W = E·(X·W).
  [[nodiscard]] bool commutes() const {
    return std::visit([](const auto& p) { return p.commutes; }, kind_);
  }
  /// Whether each token reaches one row only.
  [[nodiscard]] bool local() const {
    return std::visit([](const auto& p) { return p.local; }, kind_);
  }
  [[nodiscard]] Reduction reduction() const {
    return std::visit([](const auto& p) { return p.reduction; }, kind_);
  }
  /// Whether sums must be divided by the count of tokens in the end.
  [[nodiscard]] bool averages() const { return std::holds_alternative<MeanPooling<T>>(kind_) || of_text(); }
  /// Whether rows depend on the length of the text, not on positions alone.
  [[nodiscard]] bool of_text() const { return std::holds_alternative<GrowingPooling<T>>(kind_); }
  /// Whether scores get log(count) added.
  [[nodiscard]] bool log_count() const {
    const auto* pooling = std::get_if<MeanPooling<T>>(&kind_);
    return of_text() || (pooling != nullptr && pooling->log_count);
  }
  /// Features that each kernel belongs to: d for depthwise convolution, 0 where any width will do.
  [[nodiscard]] Index feature_width() const {
    const auto* depthwise = std::get_if<DepthwiseConvolution<T>>(&kind_);
    return depthwise != nullptr ? depthwise->weight.rows() : 0;
  }
  [[nodiscard]] const Kind& kind() const { return kind_; }
  [[nodiscard]] Kind& kind() { return kind_; }
  /// r (k), or empty.
  [[nodiscard]] const Vector<T>& bias() const { return bias_; }
  [[nodiscard]] Vector<T>& bias() { return bias_; }

  /// The same projection for inference alone: a learned one stored as products read it, others as they are.
  [[nodiscard]] Projection frozen(Precision precision) const {
    const auto* learned = std::get_if<LearnedProjection<T>>(&kind_);
    if (learned == nullptr) return *this;
    return Projection(FrozenProjection<T>{FrozenOperand<T>(learned->weight.transpose(), precision), learned->first,
                                          learned->sequence_length},
                      bias_);
  }

  /// Whether the other maps every sequence to the same rows, r aside: itself, or one without weights of its own.
  [[nodiscard]] bool same_rows(const Projection& other) const {
    if (this == &other) return true;
    if (rows() != other.rows() || columns() != other.columns() || kind_.index() != other.kind_.index()) return false;
    if (const auto* fixed = std::get_if<FixedProjection<T>>(&kind_)) {
      return *fixed == std::get<FixedProjection<T>>(other.kind_);
    }
    return averages() || std::holds_alternative<MaxPooling<T>>(kind_);
  }

  /// See `SequenceProjection`.
  void accumulate(const Positions& tokens, const ConstMatrixRef<T>& features, MatrixRef<T> out, Vector<T>* ones,
                  const Compute& compute) const {
    std::visit([&](const auto& p) { p.accumulate(tokens, features, out, ones, compute); }, kind_);
  }

  /// Adds to counts(i) the number of tokens that reach row i.
  void count(const Positions& tokens, Eigen::Array<Index, Eigen::Dynamic, 1>& counts) const {
    std::visit(
        [&](const auto& p) {
          if constexpr (std::remove_cvref_t<decltype(p)>::local) {
            p.for_each_row(tokens, [&](Index, Index row) { ++counts(row); });
          } else {
            counts += tokens.count;
          }
        },
        kind_);
  }

  void for_each_parameter(const ParameterName& name, const ParameterVisitor<T>& visitor) {
    visit(*this, name, visitor);
  }
  void for_each_parameter(const ParameterName& name, const ParameterVisitor<const T>& visitor) const {
    visit(*this, name, visitor);
  }

 private:
  template <class Self, class Value>
  static void visit(Self& self, const ParameterName& name, const ParameterVisitor<Value>& visitor) {
    if (auto* learned = std::get_if<LearnedProjection<T>>(&self.kind_)) {
      detail::visit_matrix(name + ".weight", learned->weight, visitor);
    } else if (auto* convolution = std::get_if<Convolution<T>>(&self.kind_)) {
      detail::visit_vector(name + ".weight", convolution->weight, visitor);
    } else if (auto* depthwise = std::get_if<DepthwiseConvolution<T>>(&self.kind_)) {
      detail::visit_matrix(name + ".weight", depthwise->weight, visitor);
    }
    detail::visit_vector(name + ".bias", self.bias_, visitor);
  }

  Kind kind_;
  Vector<T> bias_;
};

/// A projection from n to k rows as configured, weights zero.
/// @param head_width d, for depthwise convolution
/// @param stream where the numbers of a fixed projection come from
/// @param held positions of the columns to be held, where they take memory
/// @throws Error invalid_configuration or size_overflow
template <Scalar T>
[[nodiscard]] Projection<T> make_projection(const ProjectionConfig& config, Index rows, Index columns, Index head_width,
                                            const RandomStream& stream, Part held) {
  detail::require_config(rows >= 1 && rows <= columns, "projected_length",
                         "between 1 and sequence_length " + std::to_string(columns), rows);
  detail::checked_size("projection", {rows, columns});
  const bool convolves =
      config.kind == ProjectionKind::convolution || config.kind == ProjectionKind::depthwise_convolution;
  detail::require_config(!convolves || columns % rows == 0, "projected_length",
                         "a divisor of sequence_length " + std::to_string(columns) + " for a convolution", rows);
  Vector<T> bias = config.bias ? Vector<T>(Vector<T>::Zero(rows)) : Vector<T>();
  const Windows windows(rows, columns);
  switch (config.kind) {
    case ProjectionKind::learned:
      return Projection<T>(LearnedProjection<T>{Matrix<T>::Zero(rows, held.size()), held.begin, columns},
                           std::move(bias));
    case ProjectionKind::gaussian:
    case ProjectionKind::rademacher: {
      FixedProjection<T> fixed(config.kind, rows, columns, config.scale, stream);
      if (config.stored) fixed.store(held);
      return Projection<T>(std::move(fixed), std::move(bias));
    }
    case ProjectionKind::mean_pooling:
      return Projection<T>(MeanPooling<T>{windows, config.log_count}, std::move(bias));
    case ProjectionKind::growing_pooling:
      return Projection<T>(GrowingPooling<T>{GrowingWindows(rows, columns), true}, std::move(bias));
    case ProjectionKind::max_pooling:
      return Projection<T>(MaxPooling<T>{windows}, std::move(bias));
    case ProjectionKind::convolution:
      return Projection<T>(Convolution<T>{windows, Vector<T>::Zero(columns / rows)}, std::move(bias));
    case ProjectionKind::depthwise_convolution:
      return Projection<T>(DepthwiseConvolution<T>{windows, Matrix<T>::Zero(head_width, columns / rows)},
                           std::move(bias));
  }
  throw Error(ErrorCode::invalid_configuration, "projection.kind", "a ProjectionKind", "another value");
}

/// The same with all columns.
template <Scalar T>
[[nodiscard]] Projection<T> make_projection(const ProjectionConfig& config, Index rows, Index columns, Index head_width,
                                            const RandomStream& stream) {
  return make_projection<T>(config, rows, columns, head_width, stream, {0, columns});
}

}  // namespace linformer::inline LINFORMER_ABI
