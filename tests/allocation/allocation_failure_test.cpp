#include <linformer/linformer.hpp>
#include <linformer/model/masked_language_model.hpp>
#include <linformer/model/sequence_classifier.hpp>

#include "allocation/heap.hpp"
#include "support/catch.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

// Every allocation of a call is made to fail in turn: the first, the second, and so on until the call succeeds.

#if LINFORMER_TEST_HEAP

using namespace linformer;

namespace {

/// What came of making the allocations of a call fail one after another.
struct Outcome {
  long failed_calls = 0;      ///< that ended with std::bad_alloc or std::system_error
  long other_exceptions = 0;  ///< that ended with anything else
  long wrong_results = 0;     ///< of calls after a failure
  long failed_repeats = 0;    ///< calls after a failure that failed although there was memory
  long double_frees = 0;
  long leaked_blocks = 0;
  long first_bad = 0;  ///< allocation whose failure showed the first of these; 0 for none
  [[nodiscard]] bool good() const { return failed_calls > 0 && first_bad == 0; }
};

std::string text_of(const Outcome& o) {
  return "failed calls " + std::to_string(o.failed_calls) + ", other exceptions " + std::to_string(o.other_exceptions) +
         ", wrong results " + std::to_string(o.wrong_results) + ", failed repeats " + std::to_string(o.failed_repeats) +
         ", double frees " + std::to_string(o.double_frees) + ", leaked blocks " + std::to_string(o.leaked_blocks) +
         ", first at allocation " + std::to_string(o.first_bad);
}

/// Runs `prepare()` to make a state, `state->call()` with its i-th allocation failing, for i = 1, 2, … until none
/// fails, then `state->call()` with memory, which must give what it gives in a state that never saw a failure.
/// @param forever whether the allocations after the i-th fail too, until the call ends
template <class Prepare>
Outcome fail_each_allocation(const Prepare& prepare, bool forever) {
  Outcome outcome;
  // Once beforehand: what a library keeps after its first use, such as the storage of threads, is no leak.
  prepare()->call();
  const auto expected = [&] {
    const auto state = prepare();
    return state->call();
  }();
  for (long i = 1; i < 5000; ++i) {
    const Outcome before = outcome;
    const long live = heap::live;
    const long failures = heap::failures;
    bool right = true;
    heap::quarantining = true;
    {
      auto state = prepare();
      heap::from_then_on = forever;
      heap::until_failure = i;
      try {
        static_cast<void>(state->call());
      } catch (const std::bad_alloc&) {
        ++outcome.failed_calls;
      } catch (const std::system_error&) {
        ++outcome.failed_calls;
      } catch (...) {
        ++outcome.other_exceptions;
      }
      heap::until_failure = 0;
      try {
        right = state->call() == expected;
      } catch (...) {
        ++outcome.failed_repeats;
      }
    }
    heap::quarantining = false;
    heap::quarantine.release();
    if (!right) ++outcome.wrong_results;
    outcome.double_frees += heap::double_frees.exchange(0);
    if (heap::live > live) outcome.leaked_blocks += heap::live - live;
    const bool bad = outcome.other_exceptions > before.other_exceptions ||
                     outcome.wrong_results > before.wrong_results || outcome.failed_repeats > before.failed_repeats ||
                     outcome.double_frees > before.double_frees || outcome.leaked_blocks > before.leaked_blocks;
    if (bad && outcome.first_bad == 0) outcome.first_bad = i;
    if (heap::failures == failures) return outcome;
  }
  outcome.first_bad = 5000;  // it never ended
  return outcome;
}

/// As above, with allocations failing one at a time and with all failing from the i-th on.
template <class Prepare>
void check_each_allocation(const Prepare& prepare) {
  for (const bool forever : {false, true}) {
    const Outcome outcome = fail_each_allocation(prepare, forever);
    INFO((forever ? "from the i-th on: " : "the i-th alone: ") << text_of(outcome));
    CHECK(outcome.good());
  }
}

/// A state whose call is a function of it.
template <class State, class Call>
class Prepared {
 public:
  Prepared(State state, Call call) : state_(std::move(state)), call_(std::move(call)) {}
  auto call() { return call_(state_); }

 private:
  State state_;
  Call call_;
};

template <class State, class Call>
auto prepared(State state, Call call) {
  return std::make_unique<Prepared<State, Call>>(std::move(state), std::move(call));
}

using Values = std::vector<float>;

Values values_of(const Matrix<float>& matrix) { return {matrix.data(), matrix.data() + matrix.size()}; }

Matrix<float> tokens(Index rows, Index width = 8) {
  Matrix<float> x(rows, width);
  for (Index i = 0; i < x.size(); ++i) x.data()[i] = static_cast<float>(i * 37 % 101) / 50 - 1;
  return x;
}

AttentionConfig config_of(ProjectionKind kind = ProjectionKind::learned, Sharing sharing = Sharing::headwise) {
  return {.sequence_length = 1200,
          .model_width = 8,
          .heads = 2,
          .projected_length = 6,
          .sharing = sharing,
          .projection = {.kind = kind, .bias = true},
          .projected_bias = true};
}

const LinformerAttention<float>& attention(Mechanism mechanism = Mechanism::linformer) {
  static const auto make = [](Mechanism m) {
    AttentionConfig config = config_of();
    config.mechanism = m;
    return LinformerAttention<float>(config, 1);
  };
  static const LinformerAttention<float> linformer = make(Mechanism::linformer), softmax = make(Mechanism::softmax),
                                         tiled = make(Mechanism::softmax_tiled);
  switch (mechanism) {
    case Mechanism::softmax:
      return softmax;
    case Mechanism::softmax_tiled:
      return tiled;
    default:
      return linformer;
  }
}

/// What a caller keeps between calls.
struct Caller {
  Matrix<float> x, y{};
  Workspace workspace{};
  Probabilities<float> probabilities{};
};

/// A context of 700 tokens: two cuts.
constexpr Index length = 700;

}  // namespace

TEST_CASE("the allocator fails where it is told to", "[allocation]") {
  heap::until_failure = 2;
  const std::unique_ptr<int> first(new (std::nothrow) int);
  const std::unique_ptr<int> second(new (std::nothrow) int), third(new (std::nothrow) int);
  heap::from_then_on = true;
  heap::until_failure = 1;
  const std::unique_ptr<int> fourth(new (std::nothrow) int), fifth(new (std::nothrow) int);
  heap::until_failure = 0;
  heap::from_then_on = false;
  CHECK(first);
  CHECK_FALSE(second);
  CHECK(third);
  CHECK_FALSE(fourth);
  CHECK_FALSE(fifth);
}

TEST_CASE("the allocator sees what is freed twice, and leaks", "[allocation]") {
  void* volatile block = std::malloc(64);
  const long live = heap::live;
  heap::quarantining = true;
  std::free(block);
  std::free(block);
  heap::quarantining = false;
  heap::quarantine.release();
  CHECK(heap::double_frees.exchange(0) == 1);
  CHECK(heap::live == live - 1);
}

TEST_CASE("a layer is made or not", "[allocation]") {
  for (const auto kind : {ProjectionKind::learned, ProjectionKind::gaussian, ProjectionKind::depthwise_convolution}) {
    for (const auto sharing : {Sharing::none, Sharing::layerwise}) {
      AttentionConfig config = config_of(kind, sharing);
      config.sequence_length = 12;
      config.projection.stored = true;
      CAPTURE(static_cast<int>(kind), static_cast<int>(sharing));
      check_each_allocation([&] {
        return prepared(std::optional<LinformerAttention<float>>(), [&](auto& layer) {
          layer.emplace(config, 1);
          Values values;
          std::as_const(*layer).for_each_parameter(
              [&](const std::string&, Shape, auto span) { values.insert(values.end(), span.begin(), span.end()); });
          return values;
        });
      });
    }
  }
}

TEST_CASE("a layer that is assigned keeps its weights or gets the other's", "[allocation]") {
  AttentionConfig other = config_of();
  other.sequence_length = 12;
  const LinformerAttention<float> source(other, 2);
  check_each_allocation([&] {
    return prepared(attention(), [&](LinformerAttention<float>& layer) {
      layer = LinformerAttention<float>(source);
      return values_of(layer(tokens(9)));
    });
  });
}

TEST_CASE("forward without a workspace", "[allocation]") {
  for (const auto mechanism : {Mechanism::linformer, Mechanism::softmax, Mechanism::softmax_tiled}) {
    for (const Index threads : {1, 2}) {
      CAPTURE(static_cast<int>(mechanism), threads);
      check_each_allocation([&] {
        return prepared(Caller{tokens(length)}, [&](Caller& caller) {
          attention(mechanism).forward(caller.x, caller.y, {.threads = threads});
          return values_of(caller.y);
        });
      });
    }
  }
}

TEST_CASE("forward into a matrix of another shape", "[allocation]") {
  check_each_allocation([&] {
    return prepared(Caller{tokens(20), tokens(3)}, [&](Caller& caller) {
      attention().forward(caller.x, caller.y);
      return values_of(caller.y);
    });
  });
}

TEST_CASE("forward in either order", "[allocation]") {
  for (const auto order : {Order::direct, Order::reassociated}) {
    CAPTURE(static_cast<int>(order));
    check_each_allocation([&] {
      return prepared(Caller{tokens(length)}, [&](Caller& caller) {
        attention().forward(caller.x, caller.y, {.order = order});
        return values_of(caller.y);
      });
    });
  }
}

TEST_CASE("forward in a fresh workspace of the caller", "[allocation]") {
  for (const auto mechanism : {Mechanism::linformer, Mechanism::softmax, Mechanism::softmax_tiled}) {
    for (const Index threads : {1, 2}) {
      CAPTURE(static_cast<int>(mechanism), threads);
      check_each_allocation([&] {
        return prepared(Caller{tokens(length)}, [&](Caller& caller) {
          attention(mechanism).forward(caller.x, caller.y, {.threads = threads, .workspace = &caller.workspace});
          return values_of(caller.y);
        });
      });
    }
  }
}

TEST_CASE("forward in a workspace that served another layer", "[allocation]") {
  AttentionConfig other = config_of();
  other.model_width = 4;
  other.projected_length = 3;
  const LinformerAttention<float> smaller(other, 2);
  for (const auto mechanism : {Mechanism::linformer, Mechanism::softmax_tiled}) {
    CAPTURE(static_cast<int>(mechanism));
    check_each_allocation([&] {
      Caller prepared_caller{tokens(length)};
      Matrix<float> unused;
      smaller.forward(tokens(5, 4), unused, {.workspace = &prepared_caller.workspace});
      return prepared(std::move(prepared_caller), [&](Caller& caller) {
        attention(mechanism).forward(caller.x, caller.y, {.workspace = &caller.workspace});
        return values_of(caller.y);
      });
    });
  }
}

TEST_CASE("a workspace used before needs few allocations more", "[allocation]") {
  Caller caller{tokens(length)};
  const auto call = [&] { attention().forward(caller.x, caller.y, {.workspace = &caller.workspace}); };
  call();
  call();
  const Values expected = values_of(caller.y);
  for (long i = 1; i < 1000; ++i) {  // the same workspace fails again and again
    const long failures = heap::failures;
    heap::until_failure = i;
    bool failed = false;
    try {
      call();
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    heap::until_failure = 0;
    if (heap::failures == failures) {
      CHECK(i < 100);
      break;
    }
    CHECK(failed);
    call();
    CHECK(values_of(caller.y) == expected);
  }
}

TEST_CASE("the second call of a shape allocates nothing", "[allocation]") {
  Isa isa = default_isa();
  if (isa == Isa::eigen) return;  // Eigen's own products allocate
  const Matrix<float> context = tokens(900);
  TokenMask mask = TokenMask::Constant(1, length, true);
  mask(0, 5) = false;
  const std::vector<Matrix<float>> sequences{tokens(length), tokens(30), tokens(513)};
  const Batch<float> batch = make_batch<float>(sequences);
  const auto check = [&](const auto& attention, const ForwardOptions<float>& options) {
    const Matrix<float> x = tokens(length);
    Matrix<float> y(length, 8);
    Batch<float> batch_y;
    const auto call = [&] {
      if (!options.mask && !options.context) attention.forward(batch, batch_y, options);
      attention.forward(x, MatrixRef<float>(y), options);
    };
    call();
    call();  // blocks of scratch memory become one when the first call ends
    const long before = heap::allocations;
    call();
    CHECK(heap::allocations == before);
  };
  for (const auto kind :
       {ProjectionKind::learned, ProjectionKind::gaussian, ProjectionKind::rademacher, ProjectionKind::mean_pooling,
        ProjectionKind::growing_pooling, ProjectionKind::max_pooling, ProjectionKind::convolution,
        ProjectionKind::depthwise_convolution}) {
    for (const auto sharing : {Sharing::none, Sharing::headwise, Sharing::key_value}) {
      const LinformerAttention<float> plain(config_of(kind, sharing), 1);
      const auto frozen = plain.frozen(), half = plain.frozen(Precision::bf16);
      for (const auto order : {Order::direct, Order::reassociated, Order::absorbed}) {
        if (order != Order::direct && !plain.projections().projection(0, 0, Side::key).commutes()) continue;
        for (const Index threads : {1, 2}) {
          CAPTURE(static_cast<int>(kind), static_cast<int>(sharing), static_cast<int>(order), threads);
          ThreadPool pool(threads);
          Workspace workspace;
          ForwardOptions<float> options{.workspace = &workspace, .order = order, .pool = &pool};
          check(plain, options);
          check(frozen, options);
          check(half, options);
          options.mask = mask;
          check(frozen, options);
          options.context = context;
          check(frozen, options);
        }
      }
    }
  }
  for (const auto mechanism : {Mechanism::softmax, Mechanism::softmax_tiled}) {
    Workspace workspace;
    check(attention(mechanism), {.workspace = &workspace});
    check(attention(mechanism).frozen(), {.workspace = &workspace});
  }
}

TEST_CASE("the second call of a frozen encoder or head allocates nothing", "[allocation]") {
  if (default_isa() == Isa::eigen) return;  // Eigen's own products allocate
  EncoderConfig config{.vocabulary_size = 20,
                       .sequence_length = 120,
                       .layers = 2,
                       .model_width = 16,
                       .heads = 2,
                       .feed_forward_width = 530,
                       .projected_length = 9};
  const TokenBatch tokens{BatchLayout::from_lengths(std::vector<Index>{120, 0, 37}), std::vector<std::int32_t>(157, 3)};
  const std::vector<Index> rows{0, 5, 130, 150};
  const RowSelection read(tokens.layout, rows);
  for (const auto mechanism : {Mechanism::linformer, Mechanism::softmax, Mechanism::softmax_tiled}) {
    for (const bool pre_norm : {false, true}) {
      config.mechanism = mechanism;
      config.pre_norm = pre_norm;
      const MaskedLanguageModel<float> model(config, 1);
      const SequenceClassifier<float> first(config, 3, Pooling::first_token, 1), mean(config, 3, Pooling::mean, 1);
      for (const Precision precision : {Precision::full, Precision::bf16}) {
        const auto frozen = model.frozen(precision);
        const auto frozen_first = first.frozen(precision), frozen_mean = mean.frozen(precision);
        for (const Index threads : {1, 2}) {
          CAPTURE(static_cast<int>(mechanism), pre_norm, static_cast<int>(precision), threads);
          ThreadPool pool(threads);
          Workspace workspace;
          const Execution execution{pool, workspace, default_isa()};
          Matrix<float> hidden(157, 16), logits(read.size(), 20), classes(3, 3);
          const auto call = [&] {
            frozen.encoder().forward(tokens, hidden, {}, nullptr, execution);
            frozen.forward(tokens, read, logits, execution);
            frozen_first.forward(tokens, classes, {}, nullptr, execution);
            frozen_mean.forward(tokens, classes, {}, nullptr, execution);
          };
          call();
          call();  // blocks of scratch memory become one when the first call ends
          const long before = heap::allocations;
          call();
          CHECK(heap::allocations == before);
        }
      }
    }
  }
}

TEST_CASE("forward with a mask and probabilities", "[allocation]") {
  TokenMask mask = TokenMask::Constant(1, length, true);
  for (Index t = 3; t < length; t += 7) mask(0, t) = false;
  for (const auto mechanism : {Mechanism::linformer, Mechanism::softmax}) {
    CAPTURE(static_cast<int>(mechanism));
    check_each_allocation([&] {
      return prepared(Caller{tokens(length)}, [&](Caller& caller) {
        attention(mechanism).forward(
            caller.x, caller.y, {.workspace = &caller.workspace, .mask = mask, .probabilities = &caller.probabilities});
        Values values = values_of(caller.y);
        for (const Matrix<float>& p : caller.probabilities) values.push_back(p.sum());
        return values;
      });
    });
  }
}

TEST_CASE("cross-attention with masks and dropout", "[allocation]") {
  const Matrix<float> context = tokens(30);
  TokenMask mask = TokenMask::Constant(1, 30, true);
  mask(0, 4) = false;
  check_each_allocation([&] {
    return prepared(Caller{tokens(20)}, [&](Caller& caller) {
      attention().forward(
          caller.x, caller.y,
          {.workspace = &caller.workspace, .context = context, .context_mask = mask, .dropout = DropoutAddress{}});
      return values_of(caller.y);
    });
  });
}

TEST_CASE("a batch", "[allocation]") {
  const std::vector<Index> lengths{20, 0, 7}, lengths_before{2, 3};
  const Batch<float> x{BatchLayout::from_lengths(lengths), tokens(27)};
  const Batch<float> before{BatchLayout::from_lengths(lengths_before), tokens(5)};
  for (const Index threads : {1, 2}) {
    for (const Batch<float>& y_before : {Batch<float>(), before}) {
      CAPTURE(threads, y_before.rows.rows());
      check_each_allocation([&] {
        return prepared(y_before, [&](Batch<float>& y) {
          attention().forward(x, y, {.threads = threads});
          return values_of(y.rows);
        });
      });
    }
  }
}

TEST_CASE("a padded batch becomes ragged and padded again", "[allocation]") {
  TokenMask mask = TokenMask::Constant(2, 4, true);
  mask(1, 1) = false;
  const Matrix<float> padded = tokens(8);
  check_each_allocation(
      [&] { return prepared(0, [&](int&) { return values_of(to_padded(to_ragged(padded, mask), 4)); }); });
}

TEST_CASE("a context that could not take a chunk is as it was", "[allocation]") {
  const Matrix<float> chunk = tokens(length);
  TokenMask mask = TokenMask::Constant(1, 600, true);
  mask(0, 5) = false;
  for (const auto order : {Order::direct, Order::reassociated}) {
    for (const bool masked : {false, true}) {
      CAPTURE(static_cast<int>(order), masked);
      // The context survives a failure with 600 tokens, so that the chunk lands at the same place when it comes again;
      // were it half taken, keys would differ.
      const auto read = [&](const ProjectedContext<float>& context) {
        const KeysValues<float> result = attention().keys_values(context);
        Values values = values_of(Matrix<float>(result.keys(0, result.rows())));
        const Values more = values_of(Matrix<float>(result.values()));
        values.insert(values.end(), more.begin(), more.end());
        values.push_back(static_cast<float>(context.tokens()));
        values.push_back(static_cast<float>(context.extent()));
        return values;
      };
      ProjectedContext<float> start = attention().empty_context(order);
      attention().accumulate(start, chunk.topRows(600));
      const Values unchanged = read(start);
      ProjectedContext<float> context = start;
      const auto call = [&] {
        if (masked) {
          attention().accumulate(context, chunk.topRows(600), {}, {.mask = mask});
        } else {
          attention().accumulate(context, chunk.topRows(600));
        }
      };
      call();
      const Values expected = read(context);
      long failed_calls = 0, changed = 0, wrong = 0;
      for (long i = 1; i < 5000; ++i) {
        context = start;
        const long failures = heap::failures;
        bool failed = false;
        heap::until_failure = i;
        try {
          call();
        } catch (const std::bad_alloc&) {
          failed = true;
        }
        heap::until_failure = 0;
        if (failed) {
          ++failed_calls;
          if (read(context) != unchanged) ++changed;
          call();
        }
        if (read(context) != expected) ++wrong;
        if (heap::failures == failures) break;
      }
      CHECK(failed_calls > 0);
      CHECK(changed == 0);
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("a context accumulates, and its keys and values are read", "[allocation]") {
  check_each_allocation([&] {
    return prepared(0, [&](int&) {
      ProjectedContext<float> context = attention().empty_context();
      attention().accumulate(context, tokens(length), {}, {.threads = 2});
      const KeysValues<float> result = attention().keys_values(context);
      Matrix<float> y(20, 8);
      attention().attend(tokens(20), result, y);
      return values_of(y);
    });
  });
}

TEST_CASE("merging allocates nothing, hence cannot fail", "[allocation]") {
  for (const auto kind : {ProjectionKind::learned, ProjectionKind::max_pooling}) {
    const LinformerAttention<float> layer(config_of(kind), 1);
    ProjectedContext<float> first = layer.empty_context(), second = layer.empty_context();
    layer.accumulate(first, tokens(600));
    layer.accumulate(second, tokens(500), 600);
    const long failures = heap::failures;
    heap::from_then_on = true;
    heap::until_failure = 1;
    bool failed = false;
    try {
      first.merge(second);
    } catch (const std::bad_alloc&) {
      failed = true;
    }
    heap::until_failure = 0;
    heap::from_then_on = false;
    CHECK_FALSE(failed);
    CHECK(heap::failures == failures);
    CHECK(first.tokens() == 1100);
  }
}

TEST_CASE("a workspace that could not grow works on", "[allocation]") {
  check_each_allocation([&] {
    return prepared(Workspace(), [&](Workspace& workspace) {
      double sum = 0;
      for (int round = 0; round < 2; ++round) {
        const Workspace::Scope scope(workspace);
        for (const Index rows : {1, 10, 3, 100}) {
          auto matrix = workspace.matrix<double>(rows, 9);
          matrix.setConstant(0.5);
          const Workspace::Scope inner(workspace);
          workspace.matrix<double>(rows, 20).setConstant(2);
          sum += matrix.sum();
        }
        workspace.reserve_workers(3);
        workspace.kept<std::vector<int>>().resize(10);
        sum += static_cast<double>(workspace.kept<std::vector<int>>().size());
      }
      return sum;
    });
  });
}

TEST_CASE("a pool that could not be made leaves no thread, and one whose work fails works on", "[allocation]") {
  check_each_allocation([&] {
    return prepared(0, [&](int&) {
      ThreadPool pool(4);
      std::atomic<long> sum{0};
      pool.run(20, [&](Index task, Index /*worker*/) {
        const std::unique_ptr<long> value = std::make_unique<long>(task);
        sum += *value;
      });
      return sum.load();
    });
  });
}

#endif
