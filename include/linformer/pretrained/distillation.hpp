#pragma once

#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sentence_embeddings.hpp>
#include <linformer/train/divergence.hpp>
#include <linformer/train/masked_language_loss.hpp>

namespace linformer::inline LINFORMER_ABI {

/// What a student is to match of its teacher's.
struct DistillationConfig {
  double hidden_states = 1;  ///< weight of ½‖h − t‖²/D of each token's last output, averaged over tokens
  /// Weight of 1 − cosine of the means over each text's tokens, averaged over tokens: a long text counts more.
  double embeddings = 0;
  double layers = 0;  ///< weight of the same as of hidden_states, of the layers before, averaged over them
  /// Weight of `divergence` at hidden tokens, of masked language models: their sum is divided by all tokens as well.
  double logits = 0;
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

/// `distillation_gradient`, with a head's part of it.
/// @param head called as head(hidden, hidden_gradient), both rows × D: adds to the latter. @return its loss
template <Scalar T, class Head>
LossSum distillation_gradient(const Encoder<T>& student, const TeacherOutputs<T>& teacher, const TokenBatch& tokens,
                              const DistillationConfig& config, const EncoderOptions& options, double scale,
                              EncoderCache<T>& cache, Encoder<T>& gradient, const Head& head,
                              const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  const Index width = student.config().model_width, rows = tokens.layout.rows();
  require_shape("teacher", teacher.last.rows(), teacher.last.cols(), rows, width);
  const auto layers = static_cast<Index>(student.layers().size());
  const bool of_layers = config.layers != 0 && layers > 1;
  if (of_layers) {
    const auto kept =
        teacher.layers == nullptr ? 0 : std::max(teacher.layers->layers.size(), teacher.layers->inputs.size());
    require_shape("teacher layers", static_cast<Index>(kept), width, layers, width);
  }
  auto hidden = execution.workspace.template matrix<T>(rows, width);
  auto hidden_gradient = execution.workspace.template matrix<T>(rows, width);
  student.forward(tokens, hidden, options, &cache, execution);
  LossSum sum{0, static_cast<double>(rows)};
  const T of_states = static_cast<T>(scale * config.hidden_states / static_cast<double>(width));
  for (Index b = 0; b < tokens.layout.sequences(); ++b) {
    const Index first = tokens.layout.offset(b), length = tokens.layout.length(b);
    if (length == 0) continue;
    const auto its = hidden.middleRows(first, length);
    const auto goal = teacher.last.middleRows(first, length);
    Vector<T> mean_gradient = Vector<T>::Zero(width);
    if (config.embeddings != 0) {
      const Vector<T> mean = its.colwise().mean().transpose(), goal_mean = goal.colwise().mean().transpose();
      const double distance =
          cosine_gradient<T>(mean, goal_mean, static_cast<T>(scale * config.embeddings), mean_gradient);
      sum.loss += config.embeddings * distance * static_cast<double>(length);
    }
    auto its_gradient = hidden_gradient.middleRows(first, length);
    its_gradient = its - goal;
    for (Index row = 0; row < length; ++row) {
      sum.loss += config.hidden_states * 0.5 * static_cast<double>(its_gradient.row(row).squaredNorm()) /
                  static_cast<double>(width);
    }
    its_gradient *= of_states;
    its_gradient.rowwise() += mean_gradient.transpose();  // the mean's share of a token, 1/length, times its weight
  }
  sum.loss += head(hidden, hidden_gradient);
  if (!of_layers) {
    student.backward(tokens, options, cache, hidden_gradient, gradient, execution);
    return sum;
  }
  const double weight = config.layers / static_cast<double>(width * (layers - 1));
  auto difference = execution.workspace.template matrix<T>(rows, width);
  student.backward(tokens, options, cache, hidden_gradient, gradient, execution,
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
  return detail::distillation_gradient<T>(
      student, teacher, tokens, config, options, scale, cache, gradient,
      [](const ConstMatrixRef<T>&, MatrixRef<T>) { return 0.0; }, execution);
}

/// The same of masked language models that read the same text, some of it hidden, and how far the student's logits of
/// what is hidden are from the teacher's (Sanh et al. 2019, arXiv 1910.01108, sums such losses).
/// @param teacher of the student's vocabulary and width; @param outputs of its encoder, for `masked.ids`
/// @param layout of the batch; @param masked its tokens, of type 0: their labels are not read
/// @throws Error as above, and shape_mismatch for a teacher of another vocabulary
template <Scalar T>
LossSum distillation_gradient(const MaskedLanguageModel<T>& student, const MaskedLanguageModel<T>& teacher,
                              const TeacherOutputs<T>& outputs, const BatchLayout& layout, const MaskedTokens& masked,
                              const DistillationConfig& config, const EncoderOptions& options, double scale,
                              EncoderCache<T>& cache, MaskedLanguageModel<T>& gradient, const Execution& execution) {
  const Index classes = student.encoder().config().vocabulary_size;
  detail::require_shape("teacher's words", teacher.encoder().config().vocabulary_size, outputs.last.cols(), classes,
                        student.encoder().config().model_width);
  const Workspace::Scope scope(execution.workspace);
  auto& tokens = execution.workspace.template kept<TokenBatch>();
  tokens.layout = layout;
  tokens.ids = masked.ids;
  const auto head = [&](const ConstMatrixRef<T>& hidden, MatrixRef<T> hidden_gradient) {
    if (config.logits == 0) return 0.0;
    const auto count = static_cast<Index>(masked.rows.size());
    auto goal = execution.workspace.template matrix<T>(count, outputs.last.cols());
    gather_rows<T>(outputs.last, masked.rows, goal);
    LossSum sum;
    detail::head_gradient_of_rows<T>(
        student, hidden, masked.rows, hidden_gradient, gradient,
        [&](Index first, MatrixRef<T> logits) {
          const Workspace::Scope tile(execution.workspace);
          auto goal_logits = execution.workspace.template matrix<T>(logits.rows(), classes);
          teacher.logits_into(goal.middleRows(first, logits.rows()), goal_logits, execution);
          sum += detail::sum_of_parts(logits.rows(), execution, [&](Index begin, Index rows) {
            return divergence_gradient<T>(logits.middleRows(begin, rows), goal_logits.middleRows(begin, rows),
                                          scale * config.logits);
          });
        },
        execution);
    return config.logits * sum.loss;
  };
  return detail::distillation_gradient<T>(student.encoder(), outputs, tokens, config, options, scale, cache,
                                          gradient.encoder(), head, execution);
}

/// What of a student is trained.
enum class TrainedPart { projections, all };

/// An encoder or a masked language model whose parameters, to a trainer, are E and F alone, or all.
template <Scalar T, class Model>
class Student : public Model {
 public:
  Student(Model model, TrainedPart part) : Model(std::move(model)), part_(part) {}

  void for_each_parameter(const ParameterVisitor<T>& visitor) { visit(*this, visitor); }
  void for_each_parameter(const ParameterVisitor<const T>& visitor) const { visit(*this, visitor); }

 private:
  template <class Self, class Visitor>
  static void visit(Self& self, const Visitor& visitor) {
    if (self.part_ == TrainedPart::all) {
      self.Model::for_each_parameter(visitor);
    } else if constexpr (requires { self.encoder(); }) {
      self.encoder().projections().for_each_parameter(visitor);
    } else {
      self.projections().for_each_parameter(visitor);
    }
  }

  TrainedPart part_;
};

}  // namespace linformer::inline LINFORMER_ABI
