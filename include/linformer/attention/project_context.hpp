#pragma once

#include <linformer/attention/keys_values.hpp>
#include <linformer/attention/projected_context.hpp>
#include <linformer/attention/weights.hpp>
#include <linformer/core/thread_pool.hpp>

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
void accumulate_context(const AttentionWeights<T>& weights, const ContextStreams<T>& streams, Index sequence_length,
                        const Positions& tokens, const ConstMatrixRef<T>& rows, ProjectedContext<T>& context,
                        ThreadPool& pool, Workspace& workspace) {
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
  const auto wave = static_cast<std::size_t>(pool.threads());
  struct Part {
    std::vector<ScratchMatrix<T>> sums;
    std::vector<Vector<T>> ones;
  };
  const Workspace::Scope scope(workspace);
  std::vector<Part> parts(std::min(wave, cuts.size()));
  for (Part& part : parts) {
    for (const ProjectedSum<T>& sum : context.sums()) {
      part.sums.push_back(workspace.matrix<T>(sum.rows(), sum.width()));
      part.ones.emplace_back(sum.rows());
    }
  }
  workspace.reserve_workers(pool.threads());
  const bool projects_input = streams.order() == Order::reassociated;
  const Index width = weights.key.weight.rows();
  const bool needs_ones = projects_input && (weights.key.bias.size() != 0 || weights.value.bias.size() != 0);

  for (std::size_t first = 0; first < cuts.size(); first += parts.size()) {
    const std::size_t count = std::min(parts.size(), cuts.size() - first);
    pool.run(static_cast<Index>(count), [&](Index task, Index worker) {
      const Cut& cut = cuts[first + static_cast<std::size_t>(task)];
      Part& part = parts[static_cast<std::size_t>(task)];
      const Positions positions = tokens.slice(cut.begin, cut.count);
      const auto input = rows.middleRows(cut.begin, cut.count);
      Workspace& scratch = workspace.worker(worker);
      const Workspace::Scope worker_scope(scratch);
      auto keys = scratch.matrix<T>(projects_input ? 0 : cut.count, width);
      auto values = scratch.matrix<T>(projects_input ? 0 : cut.count, width);
      if (!projects_input) {
        weights.key.apply(input, keys);
        weights.value.apply(input, values);
      }
      for (std::size_t i = 0; i < streams.streams().size(); ++i) {
        const Stream& stream = streams.streams()[i];
        part.sums[i].setConstant(ProjectedSum<T>::identity(stream.projection->reduction()));
        part.ones[i].setZero();
        const auto accumulate = [&](const ConstMatrixRef<T>& features) {
          stream.projection->accumulate(positions, features, part.sums[i], needs_ones ? &part.ones[i] : nullptr,
                                        scratch);
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
void finish_context(const AttentionWeights<T>& weights, const LayerProjections<T>& projections,
                    const ContextStreams<T>& streams, const ProjectedContext<T>& context, Index head_width,
                    KeysValues<T>& result, ThreadPool& pool, Workspace& workspace) {
  const auto heads = static_cast<Index>(projections.key.size());
  const bool projects_input = streams.order() == Order::reassociated;
  Index most = 0;
  result.heads.resize(static_cast<std::size_t>(heads));
  for (Index head = 0; head < heads; ++head) {
    const Projection<T>& projection = *projections.key[static_cast<std::size_t>(head)];
    const auto& counts = context.sums()[streams.place(Side::key, head).stream].counts();
    auto& described = result.heads[static_cast<std::size_t>(head)];
    described.columns_of_p = projection.rows();
    described.columns.clear();
    for (Index i = 0; i < counts.size(); ++i) {
      if (counts(i) != 0) described.columns.push_back(i);
    }
    described.rows = static_cast<Index>(described.columns.size());
    described.score_bias.resize(projection.log_count() ? described.rows : 0);
    for (Index i = 0; i < described.score_bias.size(); ++i) {
      described.score_bias(i) = std::log(static_cast<T>(counts(described.column(i))));
    }
    most = std::max(most, described.rows);
  }
  result.keys.resize(most, heads * head_width);
  result.values.resize(most, heads * head_width);

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
  workspace.reserve_workers(pool.threads());
  pool.run(static_cast<Index>(runs.size()), [&](Index task, Index worker) {
    const Run& run = runs[static_cast<std::size_t>(task)];
    const bool is_key = run.side == Side::key;
    const Linear<T>& linear = is_key ? weights.key : weights.value;
    const Vector<T>& c = is_key ? weights.projected_key_bias : weights.projected_value_bias;
    const auto& owners = is_key ? projections.key : projections.value;
    const auto& head = result.heads[static_cast<std::size_t>(run.first)];
    const Index first_column = run.first * head_width;
    const Index columns = run.count * head_width;
    MatrixRef<T> out = (is_key ? result.keys : result.values).block(0, first_column, head.rows, columns);

    const auto& place = streams.place(run.side, run.first);
    const ProjectedSum<T>& sum = context.sums()[place.stream];
    Workspace& scratch = workspace.worker(worker);
    const Workspace::Scope scope(scratch);
    auto rows = scratch.matrix<T>(head.rows, sum.width());
    Vector<T> ones;
    sum.read(head.columns, streams.streams()[place.stream].projection->averages(), rows, ones);
    if (projects_input) {
      multiply_by_transposed<T>(rows, linear.weight.middleRows(first_column, columns), out);
      if (linear.bias.size() != 0) out += ones * linear.bias.segment(first_column, columns).transpose();
    } else {
      out = rows.middleCols(place.column, columns);
    }
    if (c.size() != 0) out.rowwise() += c.segment(first_column, columns).transpose();
    for (Index j = 0; j < run.count; ++j) {
      const Vector<T>& r = owners[static_cast<std::size_t>(run.first + j)]->bias();
      if (r.size() == 0) continue;
      for (Index i = 0; i < head.rows; ++i) {
        out.row(i).segment(j * head_width, head_width).array() += r(head.column(i));
      }
    }
    if (is_key) out *= key_scale;
  });
}

}  // namespace linformer::inline LINFORMER_ABI
