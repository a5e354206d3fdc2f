#pragma once

// Linformer attention in double precision, by plain loops, from the paper's equations and the documented names and
// draws alone: nothing here calls a product, projection or softmax of the library. Beside every result stands a bound
// of the rounding error that a computation in another precision or order may make.

#include <linformer/attention/config.hpp>
#include <linformer/core/matrix.hpp>
#include <linformer/core/parameters.hpp>
#include <linformer/core/random.hpp>
#include <linformer/nn/dropout.hpp>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace oracle {

using linformer::Index;
using linformer::ProjectionKind;
using linformer::Sharing;

using Table = linformer::Matrix<double>;  // storage; a vector is a table of one column
using Present = std::vector<bool>;        // one token each
using Parameters = std::map<std::string, Table>;

/// All parameters of a module by name, in double precision.
template <class Module>
void collect(const Module& module, Parameters& into) {
  module.for_each_parameter([&](const std::string& name, linformer::Shape shape, auto values) {
    Table table(shape[0], shape.size() == 2 ? shape[1] : 1);
    for (Index i = 0; i < table.size(); ++i) table.data()[i] = values[static_cast<std::size_t>(i)];
    into[name] = table;
  });
}

/// A table of this name, or an empty one.
inline Table find(const Parameters& parameters, const std::string& name) {
  const auto found = parameters.find(name);
  return found == parameters.end() ? Table(0, 0) : found->second;
}

/// E or F of one head.
struct Projection {
  ProjectionKind kind = ProjectionKind::learned;
  Index k = 0, n = 0;
  Table e;       ///< k × n, learned and fixed
  Table kernel;  ///< s × 1, or d × s for depthwise convolution
  Table r;       ///< k × 1, or empty
  bool log_count = false;

  [[nodiscard]] bool dense() const {
    return kind == ProjectionKind::learned || kind == ProjectionKind::gaussian || kind == ProjectionKind::rademacher;
  }
  /// Whether token t contributes to row i: ⌊i·n/k⌋ ≤ t < ⌊(i + 1)·n/k⌋ for windows of positions; for those of a text
  /// of m tokens and r = min(k, m) rows, b(i) ≤ t < b(i + 1) where b(i) = i + ⌊(m − r)·i³/r³⌋.
  [[nodiscard]] bool reaches(Index i, Index t, const Present& present) const {
    if (dense()) return true;
    if (kind != ProjectionKind::growing_pooling) return i * n / k <= t && t < (i + 1) * n / k;
    Index m = static_cast<Index>(present.size());
    while (m > 0 && !present[static_cast<std::size_t>(m - 1)]) --m;
    const Index rows = std::min(k, m);
    const auto begin = [&](Index row) { return row + (m - rows) * row * row * row / (rows * rows * rows); };
    return i < rows && begin(i) <= t && t < begin(i + 1);
  }
  /// Present tokens that contribute to row i.
  [[nodiscard]] Index count(Index i, const Present& present) const {
    Index tokens = 0;
    for (std::size_t t = 0; t < present.size(); ++t) {
      if (present[t] && reaches(i, static_cast<Index>(t), present)) ++tokens;
    }
    return tokens;
  }
  /// E(i, t) as feature c of a head sees it, of a token that reaches the row.
  [[nodiscard]] double entry(Index i, Index t, Index c, Index counted) const {
    if (dense()) return e(i, t);
    if (kind == ProjectionKind::mean_pooling || kind == ProjectionKind::growing_pooling) return 1.0 / static_cast<double>(counted);
    const Index at = t - i * n / k;
    return kind == ProjectionKind::depthwise_convolution ? kernel(c, at) : kernel(at, 0);
  }
};

/// y = x·Wᵀ + b.
struct Linear {
  Table weight, bias;
};

/// One attention layer.
struct Layer {
  linformer::Mechanism mechanism = linformer::Mechanism::linformer;
  Index heads = 0;
  Linear query, key, value, output;
  Table key_c, value_c;          ///< h·d × 1, or empty
  std::vector<Projection> e, f;  ///< one each head
};

/// A fixed E by its definition: entries at scale 1/√k or 1/√n.
inline Table fixed_matrix(ProjectionKind kind, Index k, Index n, linformer::FixedScale scale,
                          const linformer::RandomStream& stream) {
  Table e(k, n);
  const double size = 1 / std::sqrt(static_cast<double>(scale == linformer::FixedScale::paper ? k : n));
  for (Index i = 0; i < k; ++i) {
    for (Index t = 0; t < n; ++t) {
      const Index in_block = kind == ProjectionKind::gaussian ? 4 : 128;
      const auto words = stream.words(static_cast<std::uint64_t>(t), static_cast<std::uint64_t>(i / in_block));
      const Index j = i % in_block;
      if (kind == ProjectionKind::gaussian) {
        e(i, t) = linformer::standard_normal<double>(words[static_cast<std::size_t>(j)]) * size;
      } else {
        e(i, t) = (words[static_cast<std::size_t>(j / 32)] >> (j % 32)) & 1 ? -size : size;
      }
    }
  }
  return e;
}

/// The layer that a configuration, its parameters and its seed mean.
inline Layer describe(const linformer::AttentionConfig& config, const Parameters& parameters, std::uint64_t seed,
                      Index layer = 0) {
  const auto linear = [&](const std::string& name) {
    return Linear{find(parameters, name + ".weight"), find(parameters, name + ".bias")};
  };
  Layer result;
  result.mechanism = config.mechanism;
  result.heads = config.heads;
  result.query = linear("query");
  result.key = linear("key");
  result.value = linear("value");
  result.output = linear("output.dense");
  result.key_c = find(parameters, "projected_key.bias");
  result.value_c = find(parameters, "projected_value.bias");
  if (config.mechanism != linformer::Mechanism::linformer) return result;
  const bool by_layer = config.sharing != Sharing::layerwise;
  const bool by_head = config.sharing == Sharing::none;
  const bool by_side = by_head || config.sharing == Sharing::headwise;
  for (Index head = 0; head < config.heads; ++head) {
    for (const bool is_key : {true, false}) {
      std::string name = "projections";
      if (by_layer) name.append(".").append(std::to_string(layer));
      if (by_head) name.append(".").append(std::to_string(head));
      if (by_side) name.append(is_key ? ".key" : ".value");
      const auto& lengths = config.projected_length.list();
      Projection p;
      p.kind = config.projection.kind;
      p.n = config.sequence_length;
      p.k = lengths.size() == 1 ? lengths[0] : lengths[static_cast<std::size_t>(head)];
      p.r = find(parameters, name + ".bias");
      p.log_count = config.projection.log_count || p.kind == ProjectionKind::growing_pooling;
      const Table weight = find(parameters, name + ".weight");
      if (p.kind == ProjectionKind::learned) p.e = weight;
      if (p.kind == ProjectionKind::gaussian || p.kind == ProjectionKind::rademacher) {
        const auto stream = linformer::RandomStream(seed).derive("projections");
        p.e = fixed_matrix(p.kind, p.k, p.n, config.projection.scale,
                           stream.derive(by_layer ? static_cast<std::uint64_t>(layer) : 0,
                                         by_head ? static_cast<std::uint64_t>(head) : 0));
      }
      p.kernel = weight;
      (is_key ? result.e : result.f).push_back(p);
    }
  }
  return result;
}

/// As above, of a module with parameters and a configuration.
template <class Module>
Layer describe(const Module& module, std::uint64_t seed) {
  Parameters parameters;
  collect(module, parameters);
  return describe(module.config(), parameters, seed);
}

/// A value, and `error`: what multiplies the unit roundoff u of the computation's precision in a bound of its error,
/// |computed − value| ≤ u·error to first order in u.
struct Quantity {
  Table value, error;
  Table magnitude;  ///< Σ|terms|, where kept
};

/// x·Wᵀ + b. A sum of p products in any order errs by at most γ_p·Σ|terms| (Higham 2002, 3.5); adding b makes it p + 1,
/// and errors of x pass through |W|.
inline Quantity apply(const Linear& linear, const Table& x, const Table& x_error) {
  const Index out = linear.weight.rows(), in = linear.weight.cols();
  Quantity y{Table::Zero(x.rows(), out), Table::Zero(x.rows(), out), Table::Zero(x.rows(), out)};
  for (Index i = 0; i < x.rows(); ++i) {
    for (Index j = 0; j < out; ++j) {
      double sum = linear.bias.size() != 0 ? linear.bias(j, 0) : 0, magnitude = std::abs(sum), passed = 0;
      for (Index c = 0; c < in; ++c) {
        sum += x(i, c) * linear.weight(j, c);
        magnitude += std::abs(x(i, c) * linear.weight(j, c));
        passed += x_error(i, c) * std::abs(linear.weight(j, c));
      }
      y.value(i, j) = sum;
      y.magnitude(i, j) = magnitude;
      y.error(i, j) = passed + static_cast<double>(in + 1) * magnitude;
    }
  }
  return y;
}

/// K̄ = E·K + r·1ᵀ + 1·cᵀ of one head (k × d): of the features [first, first + d) of K, whose absent tokens are zero.
///
/// Bound, in both orders: E·(X·W + b) sums at most `longest_sum` tokens and C + 1 features, each term of which is part
/// of |E|·(|X||W| + |b|), the magnitude of K; compensation across cuts costs 2, division by the count 1, the entries of
/// a fixed E 3, r and c 2, the scale 1/√d 3.
inline Quantity project(const Projection& p, const Quantity& k, Index features, Index first, Index d, const Table& c,
                        const Present& present, Index longest_sum) {
  Quantity out{Table::Zero(p.k, d), Table::Zero(p.k, d), {}};
  const double operations = static_cast<double>(longest_sum + features + 1 + 11);
  for (Index i = 0; i < p.k; ++i) {
    const Index counted = p.count(i, present);
    for (Index j = 0; j < d; ++j) {
      const bool maximum = p.kind == ProjectionKind::max_pooling;
      double value = maximum ? -std::numeric_limits<double>::infinity() : 0, magnitude = 0;
      for (Index t = 0; t < k.value.rows(); ++t) {
        if (!present[static_cast<std::size_t>(t)] || !p.reaches(i, t, present)) continue;
        if (maximum) {
          value = std::max(value, k.value(t, first + j));
          magnitude = std::max(magnitude, k.magnitude(t, first + j));
        } else {
          const double entry = p.entry(i, t, j, counted);
          value += entry * k.value(t, first + j);
          magnitude += std::abs(entry) * k.magnitude(t, first + j);
        }
      }
      const double r = p.r.size() != 0 ? p.r(i, 0) : 0, added = c.size() != 0 ? c(first + j, 0) : 0;
      out.value(i, j) = value + r + added;
      out.error(i, j) = operations * (magnitude + std::abs(r) + std::abs(added));
    }
  }
  return out;
}

/// Dropout of a call, from the documented address of each draw.
struct Dropout {
  linformer::DropoutAddress address;
  double rate = 0;
  std::uint64_t sample = 0;
  Index first_position = 0;

  [[nodiscard]] double factor(Index head, Index position, Index column) const {
    const auto words =
        linformer::RandomStream(address.seed)
            .derive("dropout")
            .derive(address.step, address.site)
            .derive(address.first_sample + sample, static_cast<std::uint64_t>(head))
            .words(static_cast<std::uint64_t>(position + first_position), static_cast<std::uint64_t>(column / 4));
    const bool dropped = static_cast<double>(words[static_cast<std::size_t>(column % 4)]) < std::floor(rate * 0x1p32);
    return dropped ? 0 : 1 / (1 - rate);
  }
};

struct Result {
  Table y, y_error;
  std::vector<Table> p, p_error;  ///< one each head
};

/// What a call on one sequence computes, and how.
struct Call {
  Present queries{};  ///< which rows of x are present; empty means all
  Present tokens{};   ///< which rows of the context are present; empty means all
  std::optional<Dropout> dropout{};
  Index longest_sum = 0;  ///< most tokens that one uncompensated sum over the sequence may take; 0 means all
  /// Bounds X·(W_Qᵀ·K̄ᵀ) and P̄·(V̄·W_Oᵀ): sums over D and over the rows of all heads, each term part of the magnitude of
  /// Q times |K̄| or of |P̄||V̄||W_O|.
  bool absorbed = false;
};

/// softmax(Q·K̄ᵀ/√d)·V̄·W_Oᵀ + b (Eq. 7), or Eq. 2 for the softmax mechanisms.
inline Result forward(const Layer& layer, const Table& x, const Table& context, const Call& call = {}) {
  const Present queries = call.queries.empty() ? Present(static_cast<std::size_t>(x.rows()), true) : call.queries;
  const Present tokens = call.tokens.empty() ? Present(static_cast<std::size_t>(context.rows()), true) : call.tokens;
  const bool linformer = layer.mechanism == linformer::Mechanism::linformer;
  const Index width = layer.query.weight.rows(), d = width / layer.heads, features = layer.key.weight.cols();
  const Index longest_sum = call.longest_sum != 0 ? call.longest_sum : context.rows();
  const double root = std::sqrt(static_cast<double>(d));
  const Quantity q = apply(layer.query, x, Table::Zero(x.rows(), x.cols()));
  Quantity k = apply(layer.key, context, Table::Zero(context.rows(), context.cols()));
  Quantity v = apply(layer.value, context, Table::Zero(context.rows(), context.cols()));
  for (Index t = 0; t < context.rows(); ++t) {
    if (tokens[static_cast<std::size_t>(t)]) continue;
    for (Quantity* projected : {&k, &v}) {
      projected->value.row(t).setZero();
      projected->error.row(t).setZero();
      projected->magnitude.row(t).setZero();
    }
  }
  Quantity attended{Table::Zero(x.rows(), width), Table::Zero(x.rows(), width), {}};
  Result result;
  for (Index head = 0; head < layer.heads; ++head) {
    const auto at = static_cast<std::size_t>(head);
    const Index first = head * d;
    Quantity keys, values;
    std::vector<Index> rows;         // that take part
    std::vector<double> score_bias;  // of each row of keys
    if (linformer) {
      keys = project(layer.e[at], k, features, first, d, layer.key_c, tokens, longest_sum);
      values = project(layer.f[at], v, features, first, d, layer.value_c, tokens, longest_sum);
      for (Index i = 0; i < layer.e[at].k; ++i) {
        const Index counted = layer.e[at].count(i, tokens);
        if (counted != 0) rows.push_back(i);
        score_bias.push_back(layer.e[at].log_count && counted != 0 ? std::log(static_cast<double>(counted)) : 0);
      }
    } else {
      keys = {k.value.middleCols(first, d), k.error.middleCols(first, d) + 3 * k.magnitude.middleCols(first, d), {}};
      values = {v.value.middleCols(first, d), v.error.middleCols(first, d), {}};
      for (Index t = 0; t < context.rows(); ++t) {
        if (tokens[static_cast<std::size_t>(t)]) rows.push_back(t);
        score_bias.push_back(0);
      }
    }
    Table p = Table::Zero(x.rows(), keys.value.rows()), p_error = p;
    const auto width_of_row = static_cast<double>(rows.size());
    const double tiles = std::ceil(width_of_row / 512);
    double roundings_of_value = width_of_row + 4;
    if (call.absorbed) {
      roundings_of_value = static_cast<double>(d) + 6;
      for (const Projection& e : layer.e) roundings_of_value += static_cast<double>(e.k);
    }
    for (Index i = 0; i < x.rows(); ++i) {
      if (!queries[static_cast<std::size_t>(i)] || rows.empty()) continue;
      std::vector<double> scores;
      double largest = -std::numeric_limits<double>::infinity(), worst = 0, size = 0, sum = 0;
      for (const Index row : rows) {
        double score = 0, error = 0;
        for (Index c = 0; c < d; ++c) {
          const double a = q.value(i, first + c), b = keys.value(row, c);
          score += a * b;
          error += call.absorbed ? q.magnitude(i, first + c) *
                                       (keys.error(row, c) + static_cast<double>(d + x.cols() + 3) * std::abs(b))
                                 : q.error(i, first + c) * std::abs(b) + std::abs(a) * keys.error(row, c) +
                                       static_cast<double>(d) * std::abs(a * b);
        }
        const double bias = score_bias[static_cast<std::size_t>(row)];
        score = score / root + bias;
        error = error / root + 3 * std::abs(bias) + std::abs(score);
        scores.push_back(score);
        largest = std::max(largest, score);
        worst = std::max(worst, error);
        size = std::max(size, std::abs(score));
      }
      for (const double score : scores) sum += std::exp(score - largest);
      // An error ε of every score changes a probability by a factor e^(±2ε). Subtracting the maximum adds 2·size, and
      // each change of a running maximum as much again; each exp is within 2 units, each rescaling costs 1; then the
      // sum of the row and the division.
      const double relative = 2 * (worst + (1 + tiles) * 2 * size + 2 + 4 * tiles) + width_of_row + 2;
      for (std::size_t j = 0; j < rows.size(); ++j) {
        p(i, rows[j]) = std::exp(scores[j] - largest) / sum;
        p_error(i, rows[j]) = p(i, rows[j]) * relative;
      }
      for (Index c = 0; c < d; ++c) {
        double value = 0, error = 0;
        for (const Index row : rows) {
          const double factor = call.dropout ? call.dropout->factor(head, i, row) : 1;
          value += factor * p(i, row) * values.value(row, c);
          error += factor * (p_error(i, row) * std::abs(values.value(row, c)) + p(i, row) * values.error(row, c) +
                             roundings_of_value * p(i, row) * std::abs(values.value(row, c)));
        }
        attended.value(i, first + c) = value;
        attended.error(i, first + c) = error;
      }
    }
    result.p.push_back(p);
    result.p_error.push_back(p_error);
  }
  const Quantity y = apply(layer.output, attended.value, attended.error);
  result.y = y.value;
  result.y_error = y.error;
  for (Index i = 0; i < x.rows(); ++i) {
    if (queries[static_cast<std::size_t>(i)]) continue;
    result.y.row(i).setZero();
    result.y_error.row(i).setZero();
  }
  return result;
}

}  // namespace oracle
