#include <linformer/attention/plan.hpp>

#include "support/catch.hpp"

#include <initializer_list>

using namespace linformer;

namespace {

/// Operations of an m × p by p × n product.
double product(double m, double p, double n) { return 2 * m * p * n; }

/// What each order does, product by product, a head at a time.
struct Count {
  double direct = 0, reassociated = 0, absorbed = 0, softmax = 0;

  Count(double q, double m, double width, double context_width, int heads, double d, double k, int distinct,
        bool dense) {
    for (int head = 0; head < heads; ++head) {
      const double outer = product(q, width, d) + product(q, d, width);  // Q, and this head's part of the output
      const double key_value = 2 * product(m, context_width, d);
      const double attend = product(q, d, k) + product(q, k, d);
      const double rows = dense ? k : 1;  // that a token reaches
      direct += outer + key_value + 2 * product(rows, m, d) + attend;
      reassociated += outer + 2 * product(k, context_width, d) + attend;
      absorbed += 2 * product(k, context_width, d)               // K̄, V̄
                  + product(width, d, k) + product(k, d, width)  // W_Qᵀ·K̄ᵀ, V̄·W_Oᵀ
                  + product(q, width, k) + product(q, k, width);
      softmax += outer + key_value + product(q, d, m) + product(q, m, d);
    }
    for (int i = 0; i < distinct; ++i) {
      reassociated += product(dense ? k : 1, m, context_width);
      absorbed += product(dense ? k : 1, m, context_width);
    }
  }
};

constexpr AttentionShape base{.queries = 4096,
                              .context = 4096,
                              .model_width = 512,
                              .context_width = 512,
                              .heads = 8,
                              .head_width = 64,
                              .projected_length = 256};
static_assert(make_plan(base).order == Order::reassociated);  // a constant expression: a pure function of shapes

}  // namespace

TEST_CASE("the plan counts the operations of each order") {
  for (const Index q : {0, 1, 700}) {
    for (const Index m : {0, 1, 512, 9000}) {
      for (const Index k : {1, 128, 512}) {
        for (const Index distinct : {1, 2, 16}) {
          for (const bool dense : {true, false}) {
            const AttentionShape shape{.queries = q,
                                       .context = m,
                                       .model_width = 96,
                                       .context_width = 80,
                                       .heads = 4,
                                       .head_width = 20,
                                       .projected_length = static_cast<double>(k),
                                       .distinct_projections = distinct,
                                       .dense = dense};
            const Count count(static_cast<double>(q), static_cast<double>(m), 96, 80, 4, 20, static_cast<double>(k),
                              static_cast<int>(distinct), dense);
            const Plan plan = make_plan(shape);
            CAPTURE(q, m, k, distinct, dense);
            CHECK(plan.direct == count.direct);  // sums of integers below 2^53: exact
            CHECK(plan.reassociated == count.reassociated);
            CHECK(plan.softmax == count.softmax);
            CHECK(plan.absorbed == count.absorbed);
            const double least = std::min({count.direct, count.reassociated, count.absorbed});
            CHECK(plan.operations() == least);
            CHECK(plan.operations(plan.order) == least);
            CHECK(plan.softmax_is_cheaper() == (count.softmax < least));
          }
        }
      }
    }
  }
}

TEST_CASE("a projection that does not commute leaves the direct order") {
  AttentionShape shape = base;
  shape.commutes = false;
  const Plan plan = make_plan(shape);
  CHECK(plan.order == Order::direct);
  CHECK(plan.operations() == make_plan(base).direct);
  CHECK(plan.reassociated == std::numeric_limits<double>::infinity());
  CHECK(plan.absorbed == std::numeric_limits<double>::infinity());
}

TEST_CASE("the choice follows the shapes") {
  AttentionShape shape = base;
  CHECK_FALSE(make_plan(shape).softmax_is_cheaper());
  shape.distinct_projections = 16;  // an E and an F for each of eight heads
  CHECK(make_plan(shape).order == Order::direct);
  shape = base;
  shape.queries = shape.context = 64;  // fewer tokens than projected rows
  CHECK(make_plan(shape).softmax_is_cheaper());
  shape = base;  // absorbed where k < D/(h - 1) = 73 and there are many queries
  shape.projected_length = 64;
  CHECK(make_plan(shape).order == Order::absorbed);
  shape.queries = 8;
  CHECK(make_plan(shape).order == Order::reassociated);
  shape = base;
  shape.projected_length = 80;
  CHECK(make_plan(shape).order == Order::reassociated);
}
