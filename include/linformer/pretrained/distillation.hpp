#pragma once

#include <linformer/model/encoder.hpp>
#include <linformer/model/sentence_embeddings.hpp>
#include <linformer/train/loss_sum.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What a student is to match of its teacher's.
struct DistillationConfig {
  double hidden_states = 1;  ///< weight of ½‖h − t‖²/D of each token's last output, averaged over tokens
  /// Weight of 1 − cosine of the means over each text's tokens, averaged over tokens: a long text counts more.
  double embeddings = 0;
  double layers = 0;  ///< weight of the same as of hidden_states, of the layers before, averaged over them
};

/// What a teacher gave for a batch.
template <Scalar T>
struct TeacherOutputs {
  ConstMatrixRef<T> last;                   ///< rows × D
  const EncoderCache<T>* layers = nullptr;  ///< which forward filled in, for DistillationConfig::layers
};

namespace detail {

/// Adds the gradient of 1 − cosine of a and b with respect to a, times `scale`, to `gradient`. @return 1 − cosine
template <Scalar T>
double cosine_gradient(const Vector<T>& a, const Vector<T>& b, T scale, Vector<T>& gradient) {
  const T norms = a.norm() * b.norm();
  if (norms == T{0}) return 0;
  const T cosine = a.dot(b) / norms;
  gradient += scale * (a * (cosine / a.squaredNorm()) - b / norms);
  return 1 - static_cast<double>(cosine);
}

}  // namespace detail

/// How far a student's output is from its teacher's on a batch, and adds the gradient, times `scale`, to that of the
/// student's weights.
/// @param teacher of as many layers as the student where layers count, its outputs for these tokens
/// @param options dropout and recomputation; @param cache memory used again by the next call
/// @return sums over the tokens of this batch; embeddings count by their tokens, so that batches of other sizes add up
/// @throws Error shape_mismatch where the teacher's outputs are not of these tokens, or layers count and are not there
template <Scalar T>
LossSum distillation_gradient(const Encoder<T>& student, const TeacherOutputs<T>& teacher, const TokenBatch& tokens,
                              const DistillationConfig& config, const EncoderOptions& options, double scale,
                              EncoderCache<T>& cache, Encoder<T>& gradient, const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  const Index width = student.config().model_width, rows = tokens.layout.rows();
  detail::require_shape("teacher", teacher.last.rows(), teacher.last.cols(), rows, width);
  const auto layers = static_cast<Index>(student.layers().size());
  const bool of_layers = config.layers != 0 && layers > 1;
  if (of_layers) {
    const auto kept =
        teacher.layers == nullptr ? 0 : std::max(teacher.layers->layers.size(), teacher.layers->inputs.size());
    detail::require_shape("teacher layers", static_cast<Index>(kept), width, layers, width);
  }
  auto hidden = execution.workspace.template matrix<T>(rows, width);
  student.forward(tokens, hidden, options, &cache, execution);
  LossSum sum{0, static_cast<double>(rows)};
  const T of_states = static_cast<T>(scale * config.hidden_states / static_cast<double>(width));
  for (Index b = 0; b < tokens.layout.sequences(); ++b) {
    const Index first = tokens.layout.offset(b), length = tokens.layout.length(b);
    if (length == 0) continue;
    auto its = hidden.middleRows(first, length);
    const auto goal = teacher.last.middleRows(first, length);
    Vector<T> mean_gradient = Vector<T>::Zero(width);
    if (config.embeddings != 0) {
      const Vector<T> mean = its.colwise().mean().transpose(), goal_mean = goal.colwise().mean().transpose();
      const double distance =
          detail::cosine_gradient<T>(mean, goal_mean, static_cast<T>(scale * config.embeddings), mean_gradient);
      sum.loss += config.embeddings * distance * static_cast<double>(length);
    }
    its -= goal;
    for (Index row = 0; row < length; ++row) {
      sum.loss +=
          config.hidden_states * 0.5 * static_cast<double>(its.row(row).squaredNorm()) / static_cast<double>(width);
    }
    its *= of_states;
    its.rowwise() += mean_gradient.transpose();  // the mean's share of each token, 1/length, times its weight, length
  }
  if (!of_layers) {
    student.backward(tokens, options, cache, hidden, gradient, execution);
    return sum;
  }
  const double weight = config.layers / static_cast<double>(width * (layers - 1));
  auto difference = execution.workspace.template matrix<T>(rows, width);
  student.backward(tokens, options, cache, hidden, gradient, execution,
                   [&](std::size_t layer, MatrixRef<T> input_gradient) {
                     if (layer == 0) return;  // of the embeddings, which conversion leaves as they are
                     difference = cache.layer_input(layer) - teacher.layers->layer_input(layer);
                     for (Index row = 0; row < rows; ++row) {
                       sum.loss += weight * 0.5 * static_cast<double>(difference.row(row).squaredNorm());
                     }
                     input_gradient += static_cast<T>(scale * weight) * difference;
                   });
  return sum;
}

/// What of a student is trained.
enum class TrainedPart { projections, all };

/// An encoder whose parameters, to a trainer, are E and F alone, or all.
template <Scalar T>
class StudentEncoder : public Encoder<T> {
 public:
  StudentEncoder(Encoder<T> encoder, TrainedPart part) : Encoder<T>(std::move(encoder)), part_(part) {}

  void for_each_parameter(const ParameterVisitor<T>& visitor) {
    if (part_ == TrainedPart::all) return Encoder<T>::for_each_parameter(visitor);
    this->projections().for_each_parameter(visitor);
  }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const {
    if (part_ == TrainedPart::all) return Encoder<T>::for_each_parameter(visitor);
    this->projections().for_each_parameter(visitor);
  }

 private:
  TrainedPart part_;
};

}  // namespace linformer::inline LINFORMER_ABI
