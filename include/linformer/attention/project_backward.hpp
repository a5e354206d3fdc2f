#pragma once

#include <linformer/attention/project_context.hpp>
#include <linformer/attention/projection_backward.hpp>
#include <linformer/attention/projection_set.hpp>
#include <linformer/nn/linear_product.hpp>

namespace linformer::inline LINFORMER_ABI {

/// The gradients of the projections that one attention layer sees, owned elsewhere; those of heads that share one
/// projection are the same.
template <Scalar T>
struct LayerProjectionGradients {
  std::vector<Projection<T>*> key, value;  ///< one for each head
};

/// Those of one layer, in the set that holds the gradients of a model's projections; into memory that is used again.
template <Scalar T>
void read_layer_gradients(ProjectionSet<T>& gradient, Index layer, LayerProjectionGradients<T>& result) {
  result.key.clear();
  result.value.clear();
  for (Index head = 0; head < gradient.config().heads; ++head) {
    result.key.push_back(&gradient.projection(layer, head, Side::key));
    result.value.push_back(&gradient.projection(layer, head, Side::value));
  }
}
template <Scalar T>
[[nodiscard]] LayerProjectionGradients<T> layer_gradients(ProjectionSet<T>& gradient, Index layer) {
  LayerProjectionGradients<T> result;
  read_layer_gradients(gradient, layer, result);
  return result;
}

/// The gradient of one sequence's projected context, E·Z and E·1 of each stream. A value that adds up: parts from other
/// queries, threads or machines are summed before they go on to the tokens.
template <Scalar T>
struct ContextGradient {
  std::vector<Matrix<T>> sums;  ///< k × features of the stream
  std::vector<Vector<T>> ones;  ///< k

  /// Zero, of the shape of a context.
  void reset(const ProjectedContext<T>& context) {
    sums.resize(context.sums().size());
    ones.resize(sums.size());
    for (std::size_t i = 0; i < sums.size(); ++i) {
      detail::resize(sums[i], context.sums()[i].rows(), context.sums()[i].width());
      detail::resize(ones[i], context.sums()[i].rows(), 1);
      sums[i].setZero();
      ones[i].setZero();
    }
  }

  /// Adds the gradient that others have of the same context. @throws Error shape_mismatch
  void merge(const ContextGradient& other) {
    detail::require(other.sums.size() == sums.size(), ErrorCode::shape_mismatch, "context gradient",
                    std::to_string(sums.size()) + " streams", std::to_string(other.sums.size()));
    for (std::size_t i = 0; i < sums.size(); ++i) {
      detail::require_shape("context gradient", other.sums[i].rows(), other.sums[i].cols(), sums[i].rows(),
                            sums[i].cols());
    }
    for (std::size_t i = 0; i < sums.size(); ++i) {
      sums[i] += other.sums[i];
      ones[i] += other.ones[i];
    }
  }
};

/// The gradients that each process has of the contexts of whole sequences, of its own queries, become those of all
/// queries, by one all-reduce for all of them: k·(D + 1) values a sequence where E = F and it comes first.
/// @param sequence the processes that hold the other queries
template <Scalar T>
void merge_gradients(std::span<ContextGradient<T>> gradients, const WorldView& sequence, Workspace& workspace) {
  detail::combine_sums<T>(
      sequence,
      [&](const auto& values) {
        for (ContextGradient<T>& gradient : gradients) {
          for (Matrix<T>& sums : gradient.sums) values(std::span(sums.data(), static_cast<std::size_t>(sums.size())));
          for (Vector<T>& ones : gradient.ones) values(std::span(ones.data(), static_cast<std::size_t>(ones.size())));
        }
      },
      workspace);
}

namespace detail {

/// The gradient of the projection that a stream reads.
template <Scalar T>
[[nodiscard]] Projection<T>& gradient_of(const Projection<T>* projection, const LayerProjections<T>& projections,
                                         const LayerProjectionGradients<T>& gradients) {
  for (std::size_t head = 0; head < projections.key.size(); ++head) {
    if (projections.key[head] == projection) return *gradients.key[head];
    if (projections.value[head] == projection) return *gradients.value[head];
  }
  throw Error(ErrorCode::shape_mismatch, "projections", "those that the context was projected with", "others");
}

}  // namespace detail

/// From the gradients of K̄ and V̄ of one sequence to those of its projected context, the first half of backward of
/// projection; adds to the gradients of W_K and W_V where E comes first, and to those of the additive vectors r and c.
/// @param keys, values gradients of K̄ (not scaled) and V̄, most rows of any head × h·d, in the rows of `heads`
template <Scalar T>
void keys_values_backward(const AttentionWeights<T>& weights, const ContextStreams<T>& streams,
                          const ProjectedContext<T>& context, std::span<const typename KeysValues<T>::Head> heads,
                          const ConstMatrixRef<T>& keys, const ConstMatrixRef<T>& values, ContextGradient<T>& gradient,
                          AttentionWeights<T>& to_weights, const LayerProjectionGradients<T>& to_projections,
                          const Execution& execution) {
  gradient.reset(context);
  const auto count = static_cast<Index>(heads.size());
  const Index width = keys.cols() / count;
  for (const Side side : {Side::key, Side::value}) {
    const bool is_key = side == Side::key;
    const Linear<T>& w = is_key ? weights.key : weights.value;
    Linear<T>& to_w = is_key ? to_weights.key : to_weights.value;
    Vector<T>& to_c = is_key ? to_weights.projected_key_bias : to_weights.projected_value_bias;
    for (Index head = 0; head < count; ++head) {
      const auto& described = heads[static_cast<std::size_t>(head)];
      const Index rows = described.rows, first = head * width;
      if (rows == 0) continue;
      const Workspace::Scope scope(execution.workspace);
      const auto given = (is_key ? keys : values).block(0, first, rows, width);
      const auto& place = streams.place(side, head);
      Matrix<T>& sums = gradient.sums[place.stream];
      Vector<T>& ones = gradient.ones[place.stream];
      if (to_c.size() != 0) to_c.segment(first, width) += given.colwise().sum().transpose();
      Vector<T>& to_r = (is_key ? to_projections.key : to_projections.value)[static_cast<std::size_t>(head)]->bias();
      if (to_r.size() != 0) {
        for (Index i = 0; i < rows; ++i) to_r(described.column(i)) += given.row(i).sum();
      }
      if (!streams.projects_input()) {
        for (Index i = 0; i < rows; ++i) sums.block(described.column(i), place.column, 1, width) += given.row(i);
        continue;
      }
      auto z = execution.workspace.matrix<T>(rows, sums.cols());
      auto z_gradient = execution.workspace.matrix<T>(rows, sums.cols());
      Eigen::Map<Vector<T>> its_ones(execution.workspace.matrix<T>(1, rows).data(), rows);
      context.sums()[place.stream].read(described.columns, streams.streams()[place.stream].projection->averages(), z,
                                        {its_ones.data(), static_cast<std::size_t>(rows)});
      linear_input_backward<T>(w.weight.middleRows(first, width), given, z_gradient, execution);
      linear_weight_backward<T>(z, given, to_w.weight.middleRows(first, width), nullptr, execution);
      for (Index i = 0; i < rows; ++i) sums.row(described.column(i)) += z_gradient.row(i);
      if (w.bias.size() == 0) continue;
      to_w.bias.segment(first, width).noalias() += given.transpose() * its_ones;
      const bool averages = streams.streams()[place.stream].projection->averages();
      for (Index i = 0; i < rows && !averages; ++i) {
        ones(described.column(i)) += given.row(i).dot(w.bias.segment(first, width));
      }
    }
  }
}

/// The tokens of one sequence as backward of projection takes them.
template <Scalar T>
struct ProjectedSequence {
  Index first_row = 0;  ///< row of the batch
  Positions tokens{};
  const ProjectedContext<T>* context = nullptr;
  ContextGradient<T>* gradient = nullptr;  ///< used up
};

namespace detail {

/// Maxima of the tokens here become those of whole sequences. Where several processes hold a maximum, the gradient
/// stays with the first, as it stays with the first of equal tokens, and becomes zero elsewhere.
/// @param maxima called as maxima(b, stream): k × features, no row for a stream that sums
template <Scalar T, class Maxima>
void share_maxima(std::span<const ProjectedSequence<T>> sequences, Index streams, const Maxima& maxima,
                  const WorldView& others) {
  const auto for_each = [&](const auto& visit) {
    for (std::size_t b = 0; b < sequences.size(); ++b) {
      for (Index stream = 0; stream < streams; ++stream) {
        MatrixRef<T> its = maxima(static_cast<Index>(b), stream);
        Matrix<T>& gradient = sequences[b].gradient->sums[static_cast<std::size_t>(stream)];
        for (Index i = 0; i < its.rows(); ++i) {
          for (Index j = 0; j < its.cols(); ++j) visit(its(i, j), gradient(i, j));
        }
      }
    }
  };
  std::vector<T> own, all;
  for_each([&](T& maximum, T&) { own.push_back(maximum); });
  all = own;
  others.maximum(std::span(all));
  for (std::size_t i = 0; i < own.size(); ++i) own[i] = own[i] == all[i] ? T{1} : T{0};
  keep_first_marks<T>(others, own);
  std::size_t i = 0;
  for_each([&](T& maximum, T& gradient) {
    maximum = all[i];
    gradient *= own[i++];
  });
}

}  // namespace detail

/// From the gradients of projected contexts, complete, to those of the tokens and of E and F: the second half of
/// backward of projection.
/// @param input, keys, values what streams project, rows of the batch: X, or K and V where they come before E
/// @param to_input, to_keys, to_values their gradients, added to; those that no stream reads may be empty
/// @param others the processes that hold the other tokens of these sequences, which pooling by the maximum asks
template <Scalar T>
void project_backward(std::span<const ProjectedSequence<T>> sequences, const ContextStreams<T>& streams,
                      const LayerProjections<T>& projections, Index sequence_length, const ConstMatrixRef<T>& input,
                      const ConstMatrixRef<T>& keys, const ConstMatrixRef<T>& values, MatrixRef<T> to_input,
                      MatrixRef<T> to_keys, MatrixRef<T> to_values, const LayerProjectionGradients<T>& to_projections,
                      const WorldView& others, const Execution& execution) {
  using Stream = typename ContextStreams<T>::Stream;
  const Workspace::Scope scope(execution.workspace);
  const auto features = [&](const Stream& stream, Index first, Index count) -> ConstMatrixRef<T> {
    switch (stream.source) {
      case Stream::Source::keys:
        return keys.block(first, stream.first_column, count, stream.columns);
      case Stream::Source::values:
        return values.block(first, stream.first_column, count, stream.columns);
      case Stream::Source::input:
        break;
    }
    return input.middleRows(first, count);
  };
  const auto features_gradient = [&](const Stream& stream, Index first, Index count) -> MatrixRef<T> {
    switch (stream.source) {
      case Stream::Source::keys:
        return to_keys.block(first, stream.first_column, count, stream.columns);
      case Stream::Source::values:
        return to_values.block(first, stream.first_column, count, stream.columns);
      case Stream::Source::input:
        break;
    }
    return to_input.middleRows(first, count);
  };
  const auto kinds = static_cast<Index>(streams.streams().size());
  const auto batch = static_cast<Index>(sequences.size());

  execution.run(batch * kinds, [&](Index task, const Compute&) {
    const auto i = static_cast<std::size_t>(task % kinds);
    if (!streams.streams()[i].projection->averages()) return;
    const ProjectedSequence<T>& its = sequences[static_cast<std::size_t>(task / kinds)];
    const auto& counts = its.context->sums()[i].counts();
    Matrix<T>& sums = its.gradient->sums[i];
    for (Index row = 0; row < sums.rows(); ++row) sums.row(row) /= static_cast<T>(std::max(counts(row), Index{1}));
  });

  // Weights first: pooling by the maximum uses its gradient up below.
  const Index length = cut_length(sequence_length);
  const Index cuts = (sequence_length + length - 1) / length;
  execution.run(kinds * cuts, [&](Index task, const Compute& compute) {
    const auto& all = streams.streams();
    const auto first = static_cast<std::size_t>(task / cuts);
    const Projection<T>* const projection = all[first].projection;
    for (std::size_t i = 0; i < first; ++i) {
      if (all[i].projection == projection) return;  // the first stream of a projection takes all of them
    }
    const bool by_position = trains_by_position(*projection);
    if (!by_position && task % cuts != 0) return;
    Projection<T>& gradient = detail::gradient_of(projection, projections, to_projections);
    for (const ProjectedSequence<T>& its : sequences) {
      const Index begin = by_position ? its.tokens.rows_below(0, task % cuts * length) : 0;
      const Index end = by_position ? its.tokens.rows_below(0, (task % cuts + 1) * length) : its.tokens.count;
      if (begin == end) continue;
      for (std::size_t i = first; i < all.size(); ++i) {
        if (all[i].projection != projection) continue;
        weight_backward<T>(its.tokens.slice(begin, end - begin), features(all[i], its.first_row + begin, end - begin),
                           its.gradient->sums[i], its.gradient->ones[i], gradient, compute);
      }
    }
  });

  // Maxima are taken of these very features: those of forward may differ in the last bit, and none would match.
  Index most_rows = 0, most_columns = 0;
  for (const Stream& stream : streams.streams()) {
    if (stream.projection->reduction() != Reduction::maximum) continue;
    most_rows = std::max(most_rows, stream.projection->rows());
    most_columns = std::max(most_columns, stream.columns);
  }
  const bool by_maximum = most_rows > 0;
  auto all_maxima = execution.workspace.matrix<T>(batch * kinds * most_rows, most_columns);
  const auto maxima = [&](Index b, Index kind) -> MatrixRef<T> {
    const Stream& stream = streams.streams()[static_cast<std::size_t>(kind)];
    const Index rows = stream.projection->reduction() == Reduction::maximum ? stream.projection->rows() : 0;
    return all_maxima.block((b * kinds + kind) * most_rows, 0, rows, rows == 0 ? 0 : stream.columns);
  };
  if (by_maximum) {
    execution.run(batch * kinds, [&](Index task, const Compute& compute) {
      const ProjectedSequence<T>& its = sequences[static_cast<std::size_t>(task / kinds)];
      const Stream& stream = streams.streams()[static_cast<std::size_t>(task % kinds)];
      MatrixRef<T> of_task = maxima(task / kinds, task % kinds);
      if (of_task.rows() == 0) return;
      of_task.setConstant(ProjectedSum<T>::identity(Reduction::maximum));
      stream.projection->accumulate(its.tokens, features(stream, its.first_row, its.tokens.count), of_task, nullptr,
                                    compute);
    });
    if (others) detail::share_maxima<T>(sequences, kinds, maxima, others);
  }

  // Streams of one input add to the same rows, so a task takes all of them; pooling by the maximum takes all tokens.
  const Index parts = by_maximum ? 1 : cuts;
  execution.run(batch * parts, [&](Index task, const Compute& compute) {
    const Index b = task / parts;
    const ProjectedSequence<T>& its = sequences[static_cast<std::size_t>(b)];
    const Index begin = by_maximum ? 0 : its.tokens.rows_below(0, task % parts * length);
    const Index end = by_maximum ? its.tokens.count : its.tokens.rows_below(0, (task % parts + 1) * length);
    if (begin == end) return;
    for (Index i = 0; i < kinds; ++i) {
      const Stream& stream = streams.streams()[static_cast<std::size_t>(i)];
      const Workspace::Scope scope_of_stream(compute.workspace);
      features_backward<T>(*stream.projection, its.tokens.slice(begin, end - begin),
                           features(stream, its.first_row + begin, end - begin),
                           its.gradient->sums[static_cast<std::size_t>(i)], maxima(b, i),
                           features_gradient(stream, its.first_row + begin, end - begin), compute);
    }
  });
}

}  // namespace linformer::inline LINFORMER_ABI
