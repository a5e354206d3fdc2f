#pragma once

#include <linformer/attention/keys_values.hpp>
#include <linformer/attention/projected_context.hpp>
#include <linformer/attention/weights.hpp>
#include <linformer/parallel/combine.hpp>

#include <span>

namespace linformer::inline LINFORMER_ABI {

/// Tokens that one product over the sequence takes at a time. Cuts lie at multiples of it in the token's own sequence,
/// whatever the chunk, batch or thread: a function of the configured n alone.
[[nodiscard]] constexpr Index cut_length(Index sequence_length) {
  return std::clamp((sequence_length / 8 + 63) / 64 * 64, Index{256}, Index{2048});
}

/// What the functions below keep in a workspace between calls, so that they need not allocate.
template <Scalar T>
struct ContextScratch {
  struct Cut {
    Index begin, count;
  };
  std::vector<Cut> cuts;
  std::vector<ScratchMatrix<T>> sums;       ///< of each cut at work and stream; then of each stream
  std::vector<Vector<T>> ones;              ///< beside each sum
  std::vector<std::vector<Index>> reached;  ///< rows of each stream that a token reached
};

/// Adds the tokens of a context to what was seen of it.
/// @param tokens positions of the rows of `rows`, below n
/// @param rows tokens.count × context width
template <Scalar T>
void accumulate_context(const TransposedWeights<T>& weights, const ContextStreams<T>& streams, Index sequence_length,
                        const Positions& tokens, const ConstMatrixRef<T>& rows, ProjectedContext<T>& context,
                        const Execution& execution) {
  using Stream = typename ContextStreams<T>::Stream;
  const Workspace::Scope scope(execution.workspace);
  auto& scratch = execution.workspace.kept<ContextScratch<T>>();
  const Index length = cut_length(sequence_length);
  auto& cuts = scratch.cuts;
  cuts.clear();
  for (Index begin = 0; begin < tokens.count;) {
    const Index count = tokens.rows_below(begin, (tokens[begin] / length + 1) * length);
    cuts.push_back({begin, count});
    begin += count;
  }

  // Each wave computes one cut a worker; then the cuts are added in the order of their positions.
  const std::size_t wave = std::min(static_cast<std::size_t>(execution.pool.threads()), cuts.size());
  const std::size_t kinds = streams.streams().size();
  scratch.sums.clear();
  scratch.ones.resize(std::max(scratch.ones.size(), wave * kinds));
  for (std::size_t i = 0; i < wave * kinds; ++i) {
    const ProjectedSum<T>& sum = context.sums()[i % kinds];
    scratch.sums.push_back(execution.workspace.matrix<T>(sum.rows(), sum.width()));
    detail::resize(scratch.ones[i], sum.rows(), 1);
  }
  const bool projects_input = streams.projects_input();
  const bool needs_ones = projects_input && (weights.key_bias.size() != 0 || weights.value_bias.size() != 0);

  for (std::size_t first = 0; first < cuts.size(); first += wave) {
    const std::size_t count = std::min(wave, cuts.size() - first);
    execution.run(static_cast<Index>(count), [&](Index task, const Compute& compute) {
      const auto& cut = cuts[first + static_cast<std::size_t>(task)];
      const Positions positions = tokens.slice(cut.begin, cut.count);
      const auto input = rows.middleRows(cut.begin, cut.count);
      auto keys = compute.workspace.matrix<T>(projects_input ? 0 : cut.count, weights.width());
      auto values = compute.workspace.matrix<T>(projects_input ? 0 : cut.count, weights.width());
      if (!projects_input) {
        const Operand<T> columns = operand<T>(transposed<T>(input, compute), compute);
        multiply<T>(compute.isa, columns, weights.key, keys, {.column_bias = detail::data_or_null(weights.key_bias)});
        multiply<T>(compute.isa, columns, weights.value, values,
                    {.column_bias = detail::data_or_null(weights.value_bias)});
      }
      for (std::size_t i = 0; i < kinds; ++i) {
        const Stream& stream = streams.streams()[i];
        const std::size_t place = static_cast<std::size_t>(task) * kinds + i;
        scratch.sums[place].setConstant(ProjectedSum<T>::identity(stream.projection->reduction()));
        scratch.ones[place].setZero();
        const auto accumulate = [&](const ConstMatrixRef<T>& features) {
          stream.projection->accumulate(positions, features, scratch.sums[place],
                                        needs_ones ? &scratch.ones[place] : nullptr, compute);
        };
        switch (stream.source) {
          case Stream::Source::input:
            accumulate(input);
            break;
          case Stream::Source::keys:
            accumulate(keys.middleCols(stream.first_column, stream.columns));
            break;
          case Stream::Source::values:
            accumulate(values.middleCols(stream.first_column, stream.columns));
            break;
        }
      }
    });
    for (std::size_t task = 0; task < count; ++task) {
      const auto& cut = cuts[first + task];
      for (std::size_t i = 0; i < kinds; ++i) {
        context.sums()[i].add(scratch.sums[task * kinds + i], scratch.ones[task * kinds + i], execution.isa,
                              [&](Index tasks, const auto& work) {
                                execution.run(tasks, [&](Index part, const Compute&) { work(part); });
                              });
        context.sums()[i].count(*streams.streams()[i].projection, tokens.slice(cut.begin, cut.count));
      }
    }
  }
  context.note_tokens(tokens);
}

/// Projected contexts of the tokens that this process holds become those of whole sequences, by one all-reduce for all
/// of them: k·(D + 2) values a sequence where E = F and it comes first, E·X and with it E·1 and the counts of tokens,
/// however long the sequence is (Eq. 7 needs nothing else of the other tokens). Pooling by the maximum takes a second
/// one, and no feature may be NaN. Counts pass through T, as they do where they are used: beyond 2^24 `float` rounds
/// them. `tokens()` and `extent()` of the contexts stay those of this process.
/// @param sequence the processes that hold the other tokens; all have contexts of as many sequences and one order
template <Scalar T>
void merge_contexts(std::span<ProjectedContext<T>> contexts, const WorldView& sequence, Workspace& workspace) {
  const auto for_each_sum = [&](const auto& visit) {
    for (ProjectedContext<T>& context : contexts) {
      for (ProjectedSum<T>& sum : context.sums()) visit(sum.parts(), sum.reduction() == Reduction::maximum);
    }
  };
  detail::combine_maxima<T>(
      sequence,
      [&](const auto& values) {
        for_each_sum([&](const auto& parts, bool by_maximum) {
          if (by_maximum) values(parts.sums);
        });
      },
      workspace);
  detail::combine_sums<T>(
      sequence,
      [&](const auto& values) {
        for_each_sum([&](const auto& parts, bool by_maximum) {
          if (!by_maximum) values(parts.sums);
          values(parts.ones);
          values(parts.counts);
        });
      },
      workspace);
}

namespace detail {

/// The sums of a context that heads read: those of the rows that a token reached, (E·X)ᵀ where it is to be multiplied
/// with weights, else E·K and F·V.
template <Scalar T>
void read_sums(const ContextStreams<T>& streams, const ProjectedContext<T>& context, ContextScratch<T>& scratch,
               const Execution& execution) {
  const std::size_t kinds = streams.streams().size();
  scratch.reached.resize(std::max(scratch.reached.size(), kinds));
  scratch.ones.resize(std::max(scratch.ones.size(), kinds));
  scratch.sums.clear();
  Index most = 0;
  for (std::size_t i = 0; i < kinds; ++i) {
    const ProjectedSum<T>& sum = context.sums()[i];
    scratch.reached[i].clear();
    detail::resize(scratch.ones[i], sum.rows(), 1);
    for (Index row = 0; row < sum.rows(); ++row) {
      if (sum.counts()(row) != 0) scratch.reached[i].push_back(row);
    }
    const auto rows = static_cast<Index>(scratch.reached[i].size());
    scratch.sums.push_back(streams.projects_input() ? execution.workspace.matrix<T>(sum.width(), rows)
                                                    : execution.workspace.matrix<T>(rows, sum.width()));
    most = std::max(most, rows);
  }
  constexpr Index rows_of_task = 64;
  const Index tasks = (most + rows_of_task - 1) / rows_of_task;  // of each stream
  execution.run(static_cast<Index>(kinds) * tasks, [&](Index task, const Compute& compute) {
    const auto i = static_cast<std::size_t>(task / tasks);
    const Index begin = task % tasks * rows_of_task;
    const auto count = std::min(rows_of_task, static_cast<Index>(scratch.reached[i].size()) - begin);
    if (count <= 0) return;
    const auto of_task = [&](auto& of_all) {
      return std::span(of_all.data() + begin, static_cast<std::size_t>(count));
    };
    const auto read = [&](MatrixRef<T> rows) {
      context.sums()[i].read(of_task(scratch.reached[i]), streams.streams()[i].projection->averages(), rows,
                             of_task(scratch.ones[i]));
    };
    ScratchMatrix<T>& out = scratch.sums[i];
    if (streams.projects_input()) {
      auto rows = compute.workspace.matrix<T>(count, out.rows());
      read(rows);
      transpose<T>(compute.isa, rows, out.middleCols(begin, count));
    } else {
      read(out.middleRows(begin, count));
    }
  });
}

/// K̄ or V̄ of neighbouring heads that read the same sum: K̄ = E·K + r·1ᵀ + 1·cᵀ, scaled by 1/√d, a key a column; V̄
/// likewise, a value a row.
/// @param owners the projections of these heads, one for each, from `first_head` on
template <Scalar T>
void project_heads(const TransposedWeights<T>& weights, Side side, std::span<const Projection<T>* const> owners,
                   Index first_head, Index head_width, const ContextStreams<T>& streams,
                   const ContextScratch<T>& scratch, MatrixRef<T> out, const Compute& compute) {
  const bool is_key = side == Side::key;
  const Vector<T>& b = is_key ? weights.key_bias : weights.value_bias;
  const Vector<T>& c = is_key ? weights.projected_key_bias : weights.projected_value_bias;
  const auto& place = streams.place(side, first_head);
  const ScratchMatrix<T>& sum = scratch.sums[place.stream];
  const std::vector<Index>& reached = scratch.reached[place.stream];
  const Vector<T>& ones = scratch.ones[place.stream];
  const auto rows = static_cast<Index>(reached.size());
  const Index first_column = first_head * head_width;
  const Index columns = static_cast<Index>(owners.size()) * head_width;
  const Operand<T> w = (is_key ? weights.key : weights.value).middle_cols(first_column, columns);

  // Biases of a projected row, and of a feature of all of them: each is added along what lies together.
  const auto add_biases_to_rows = [&](MatrixRef<T> projected) {
    for (Index i = 0; i < rows; ++i) {
      auto row = projected.row(i);
      if (streams.projects_input() && b.size() != 0) row += ones(i) * b.segment(first_column, columns).transpose();
      if (c.size() != 0) row += c.segment(first_column, columns).transpose();
      for (std::size_t j = 0; j < owners.size(); ++j) {
        const Vector<T>& r = owners[j]->bias();
        if (r.size() == 0) continue;
        row.segment(static_cast<Index>(j) * head_width, head_width).array() += r(reached[static_cast<std::size_t>(i)]);
      }
    }
  };
  const auto add_biases_to_columns = [&](MatrixRef<T> projected, T scale) {
    for (Index feature = 0; feature < columns; ++feature) {
      auto row = projected.row(feature);
      if (streams.projects_input() && b.size() != 0) row += b(first_column + feature) * ones.head(rows).transpose();
      if (c.size() != 0) row.array() += c(first_column + feature);
      const Vector<T>& r = owners[static_cast<std::size_t>(feature / head_width)]->bias();
      if (r.size() != 0) {
        for (Index i = 0; i < rows; ++i) row(i) += r(reached[static_cast<std::size_t>(i)]);
      }
      row *= scale;
    }
  };
  const auto own =
      sum.middleCols(streams.projects_input() ? 0 : place.column, streams.projects_input() ? rows : columns);
  if (is_key) {
    if (streams.projects_input()) {
      multiply<T>(compute.isa, w, operand<T>(own, compute), out);
    } else {
      transpose<T>(compute.isa, own, out);
    }
    add_biases_to_columns(out, T{1} / std::sqrt(static_cast<T>(head_width)));
  } else {
    if (streams.projects_input()) {
      multiply<T>(compute.isa, operand<T>(own, compute), w, out);
    } else {
      out = own;
    }
    add_biases_to_rows(out);
  }
}

}  // namespace detail

/// K̄ = E·K + r·1ᵀ + 1·cᵀ and V̄ likewise, of the projected rows that a token reached (Eq. 7); in the absorbed order
/// W_Qᵀ·K̄ᵀ and V̄·W_Oᵀ of each head.
template <Scalar T>
void finish_context(const TransposedWeights<T>& weights, const LayerProjections<T>& projections,
                    const ContextStreams<T>& streams, const ProjectedContext<T>& context, Index head_width,
                    KeysValues<T>& result, const Execution& execution) {
  const Workspace::Scope scope(execution.workspace);
  auto& scratch = execution.workspace.kept<ContextScratch<T>>();
  detail::read_sums(streams, context, scratch, execution);

  const auto heads = static_cast<Index>(projections.key.size());
  const bool absorbs = streams.order() == Order::absorbed;
  Index most = 0, total = 0;
  result.heads.resize(static_cast<std::size_t>(heads));
  for (Index head = 0; head < heads; ++head) {
    const Projection<T>& projection = *projections.key[static_cast<std::size_t>(head)];
    const std::size_t stream = streams.place(Side::key, head).stream;
    auto& described = result.heads[static_cast<std::size_t>(head)];
    described.columns_of_p = projection.rows();
    described.columns = scratch.reached[stream];
    described.rows = static_cast<Index>(described.columns.size());
    described.first = absorbs ? total : 0;
    const bool asks_queries = absorbs && weights.query_bias.size() != 0;
    described.score_bias.assign(static_cast<std::size_t>(projection.log_count() || asks_queries ? described.rows : 0),
                                T{0});
    for (Index row = 0; projection.log_count() && row < described.rows; ++row) {
      const Index count = context.sums()[stream].counts()(described.column(row));
      described.score_bias[static_cast<std::size_t>(row)] = std::log(static_cast<T>(count));
    }
    most = std::max(most, described.rows);
    total += described.rows;
  }

  if (absorbs) {
    result.resize(total, weights.output.cols(), true, total);
    execution.run(heads, [&](Index head, const Compute& compute) {
      auto& described = result.heads[static_cast<std::size_t>(head)];
      const Index rows = described.rows, first = head * head_width;
      const auto owner = [&](const auto& owners) {
        return std::span<const Projection<T>* const>(owners).subspan(static_cast<std::size_t>(head), 1);
      };
      auto keys = compute.workspace.matrix<T>(head_width, rows);
      auto values = compute.workspace.matrix<T>(rows, head_width);
      detail::project_heads<T>(weights, Side::key, owner(projections.key), head, head_width, streams, scratch, keys,
                               compute);
      detail::project_heads<T>(weights, Side::value, owner(projections.value), head, head_width, streams, scratch,
                               values, compute);
      if (weights.query_bias.size() != 0) {
        Eigen::Map<Vector<T>> score_bias(described.score_bias.data(), rows);
        for (Index j = 0; j < head_width; ++j) score_bias += weights.query_bias(first + j) * keys.row(j).transpose();
      }
      multiply<T>(compute.isa, weights.query_rows.middle_rows(first, head_width), operand<T>(keys, compute),
                  result.keys(described.first, rows));
      multiply<T>(compute.isa, operand<T>(transposed<T>(values, compute), compute),
                  weights.output.middle_rows(first, head_width), result.values().middleRows(described.first, rows));
    });
  } else {
    result.resize(most, heads * head_width, false, most);
    // Rounded values are read in pairs of rows: beyond the last row of a head with fewer there must be a number.
    if (execution.precision != Precision::full) result.values().setZero();
    // One task for each side and run of heads that read the same sum; a run is found by its first head.
    execution.run(2 * heads, [&](Index task, const Compute& compute) {
      const Side side = task < heads ? Side::key : Side::value;
      const Index head = task % heads;
      const auto stream = streams.place(side, head).stream;
      if (head > 0 && streams.place(side, head - 1).stream == stream) return;
      Index count = 1;
      while (head + count < heads && streams.place(side, head + count).stream == stream) ++count;
      const auto& owners = side == Side::key ? projections.key : projections.value;
      const auto rows = static_cast<Index>(scratch.reached[stream].size());
      MatrixRef<T> out = side == Side::key
                             ? MatrixRef<T>(result.keys(0, rows).middleRows(head * head_width, count * head_width))
                             : MatrixRef<T>(result.values().block(0, head * head_width, rows, count * head_width));
      detail::project_heads<T>(weights, side,
                               std::span<const Projection<T>* const>(owners).subspan(static_cast<std::size_t>(head),
                                                                                     static_cast<std::size_t>(count)),
                               head, head_width, streams, scratch, out, compute);
    });
  }
  result.round(execution.isa, execution.precision);
}

}  // namespace linformer::inline LINFORMER_ABI
