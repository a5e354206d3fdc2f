#pragma once

#include <linformer/attention/keys_values.hpp>
#include <linformer/attention/projected_context.hpp>
#include <linformer/attention/weights.hpp>

namespace linformer::inline LINFORMER_ABI {

/// Tokens that one product over the sequence takes at a time. Cuts lie at multiples of it in the token's own sequence,
/// whatever the chunk, batch or thread: a function of the configured n alone.
[[nodiscard]] constexpr Index cut_length(Index sequence_length) {
  return std::clamp((sequence_length / 8 + 63) / 64 * 64, Index{512}, Index{2048});
}

/// Adds the tokens of a context to what was seen of it.
/// @param tokens positions of the rows of `rows`, below n
/// @param rows tokens.count × context width
template <Scalar T>
void accumulate_context(const TransposedWeights<T>& weights, const ContextStreams<T>& streams, Index sequence_length,
                        const Positions& tokens, const ConstMatrixRef<T>& rows, ProjectedContext<T>& context,
                        const Execution& execution) {
  using Stream = typename ContextStreams<T>::Stream;
  struct Cut {
    Index begin, count;
  };
  const Index length = cut_length(sequence_length);
  std::vector<Cut> cuts;
  for (Index begin = 0; begin < tokens.count;) {
    const Index count = tokens.rows_below(begin, (tokens[begin] / length + 1) * length);
    cuts.push_back({begin, count});
    begin += count;
  }

  // Each wave computes one cut a worker; then the cuts are added in the order of their positions.
  const auto wave = static_cast<std::size_t>(execution.pool.threads());
  struct Part {
    std::vector<ScratchMatrix<T>> sums;
    std::vector<Vector<T>> ones;
  };
  const Workspace::Scope scope(execution.workspace);
  std::vector<Part> parts(std::min(wave, cuts.size()));
  for (Part& part : parts) {
    for (const ProjectedSum<T>& sum : context.sums()) {
      part.sums.push_back(execution.workspace.matrix<T>(sum.rows(), sum.width()));
      part.ones.emplace_back(sum.rows());
    }
  }
  const bool projects_input = streams.order() == Order::reassociated;
  const AttentionWeights<T>& plain = *weights.weights;
  const bool needs_ones = projects_input && (plain.key.bias.size() != 0 || plain.value.bias.size() != 0);

  for (std::size_t first = 0; first < cuts.size(); first += parts.size()) {
    const std::size_t count = std::min(parts.size(), cuts.size() - first);
    execution.run(static_cast<Index>(count), [&](Index task, const Compute& compute) {
      const Cut& cut = cuts[first + static_cast<std::size_t>(task)];
      Part& part = parts[static_cast<std::size_t>(task)];
      const Positions positions = tokens.slice(cut.begin, cut.count);
      const auto input = rows.middleRows(cut.begin, cut.count);
      auto keys = compute.workspace.matrix<T>(projects_input ? 0 : cut.count, weights.width());
      auto values = compute.workspace.matrix<T>(projects_input ? 0 : cut.count, weights.width());
      if (!projects_input) {
        const auto columns = transposed<T>(input, compute);
        multiply<T>(compute.isa, columns, weights.key.map(), keys);
        multiply<T>(compute.isa, columns, weights.value.map(), values);
        if (plain.key.bias.size() != 0) keys.rowwise() += plain.key.bias.transpose();
        if (plain.value.bias.size() != 0) values.rowwise() += plain.value.bias.transpose();
      }
      for (std::size_t i = 0; i < streams.streams().size(); ++i) {
        const Stream& stream = streams.streams()[i];
        part.sums[i].setConstant(ProjectedSum<T>::identity(stream.projection->reduction()));
        part.ones[i].setZero();
        const auto accumulate = [&](const ConstMatrixRef<T>& features) {
          stream.projection->accumulate(positions, features, part.sums[i], needs_ones ? &part.ones[i] : nullptr,
                                        compute);
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
      const Cut& cut = cuts[first + task];
      for (std::size_t i = 0; i < context.sums().size(); ++i) {
        context.sums()[i].add(parts[task].sums[i], parts[task].ones[i]);
        context.sums()[i].count(*streams.streams()[i].projection, tokens.slice(cut.begin, cut.count));
      }
    }
  }
  context.note_tokens(tokens);
}

/// K̄ = E·K + r·1ᵀ + 1·cᵀ and V̄ likewise, of the projected rows that a token reached (Eq. 7).
template <Scalar T>
void finish_context(const TransposedWeights<T>& weights, const LayerProjections<T>& projections,
                    const ContextStreams<T>& streams, const ProjectedContext<T>& context, Index head_width,
                    KeysValues<T>& result, const Execution& execution) {
  const auto heads = static_cast<Index>(projections.key.size());
  const bool projects_input = streams.order() == Order::reassociated;
  const Workspace::Scope scope(execution.workspace);

  // What each stream adds up to, of the rows that a token reached: (E·X)ᵀ where it is to be multiplied with weights.
  struct Sum {
    std::vector<Index> reached;
    ScratchMatrix<T> value;  // width × rows; in the direct order rows × width
    Vector<T> ones;
  };
  std::vector<Sum> sums;
  for (const ProjectedSum<T>& sum : context.sums()) {
    std::vector<Index> reached;
    for (Index i = 0; i < sum.rows(); ++i) {
      if (sum.counts()(i) != 0) reached.push_back(i);
    }
    const auto rows = static_cast<Index>(reached.size());
    auto value =
        execution.workspace.matrix<T>(projects_input ? sum.width() : rows, projects_input ? rows : sum.width());
    sums.push_back({std::move(reached), value, {}});
  }
  execution.run(static_cast<Index>(sums.size()), [&](Index task, const Compute& compute) {
    const auto i = static_cast<std::size_t>(task);
    const bool averages = streams.streams()[i].projection->averages();
    Sum& sum = sums[i];
    if (!projects_input) {
      context.sums()[i].read(sum.reached, averages, sum.value, sum.ones);
      return;
    }
    auto rows = compute.workspace.matrix<T>(sum.value.cols(), sum.value.rows());
    context.sums()[i].read(sum.reached, averages, rows, sum.ones);
    transpose<T>(compute.isa, rows, sum.value);
  });

  Index most = 0;
  result.heads.resize(static_cast<std::size_t>(heads));
  for (Index head = 0; head < heads; ++head) {
    const Projection<T>& projection = *projections.key[static_cast<std::size_t>(head)];
    const std::size_t stream = streams.place(Side::key, head).stream;
    auto& described = result.heads[static_cast<std::size_t>(head)];
    described.columns_of_p = projection.rows();
    described.columns = sums[stream].reached;
    described.rows = static_cast<Index>(described.columns.size());
    detail::resize(described.score_bias, projection.log_count() ? described.rows : 0, 1);
    for (Index i = 0; i < described.score_bias.size(); ++i) {
      described.score_bias(i) = std::log(static_cast<T>(context.sums()[stream].counts()(described.column(i))));
    }
    most = std::max(most, described.rows);
  }
  result.resize(most, heads * head_width);

  // One task for each side and run of heads that read the same sum.
  struct Run {
    Side side;
    Index first, count;
  };
  std::vector<Run> runs;
  for (const Side side : {Side::key, Side::value}) {
    for (Index head = 0; head < heads; ++head) {
      if (head > 0 && streams.place(side, head).stream == streams.place(side, head - 1).stream) {
        ++runs.back().count;
      } else {
        runs.push_back({side, head, 1});
      }
    }
  }
  const T key_scale = T{1} / std::sqrt(static_cast<T>(head_width));
  execution.run(static_cast<Index>(runs.size()), [&](Index task, const Compute& compute) {
    const Run& run = runs[static_cast<std::size_t>(task)];
    const bool is_key = run.side == Side::key;
    const AttentionWeights<T>& plain = *weights.weights;
    const Vector<T>& b = is_key ? plain.key.bias : plain.value.bias;
    const Vector<T>& c = is_key ? plain.projected_key_bias : plain.projected_value_bias;
    const auto& owners = is_key ? projections.key : projections.value;
    const auto& place = streams.place(run.side, run.first);
    const Sum& sum = sums[place.stream];
    const auto rows = static_cast<Index>(sum.reached.size());
    const Index first_column = run.first * head_width;
    const Index columns = run.count * head_width;
    const auto w = (is_key ? weights.key : weights.value).map().middleCols(first_column, columns);

    // Adds the biases to projected rows, given with a row or, transposed, with a column for each.
    const auto finish = [&](auto&& projected) {
      if (projects_input && b.size() != 0) projected += sum.ones * b.segment(first_column, columns).transpose();
      if (c.size() != 0) projected.rowwise() += c.segment(first_column, columns).transpose();
      for (Index j = 0; j < run.count; ++j) {
        const Vector<T>& r = owners[static_cast<std::size_t>(run.first + j)]->bias();
        if (r.size() == 0) continue;
        for (Index i = 0; i < rows; ++i) {
          projected.row(i).segment(j * head_width, head_width).array() += r(sum.reached[static_cast<std::size_t>(i)]);
        }
      }
    };
    if (is_key) {
      MatrixRef<T> keys = result.keys().block(first_column, 0, columns, rows);
      if (projects_input) {
        multiply<T>(compute.isa, w, sum.value, keys);
      } else {
        transpose<T>(compute.isa, sum.value.middleCols(place.column, columns), keys);
      }
      finish(keys.transpose());
      keys *= key_scale;
    } else {
      MatrixRef<T> values = result.values().block(0, first_column, rows, columns);
      if (projects_input) {
        multiply<T>(compute.isa, sum.value, w, values);
      } else {
        values = sum.value.middleCols(place.column, columns);
      }
      finish(values);
    }
  });
}

}  // namespace linformer::inline LINFORMER_ABI
