#include <linformer/attention/config.hpp>

#include "support/catch.hpp"

using namespace linformer;

TEST_CASE("a resolved configuration has its defaults filled in") {
  const AttentionConfig config{.sequence_length = 16, .model_width = 12, .heads = 3, .projected_length = 4};
  CHECK(config.sharing == Sharing::headwise);
  CHECK(config.mechanism == Mechanism::linformer);
  CHECK(config.projection.kind == ProjectionKind::learned);
  const AttentionConfig full = resolved(config);
  CHECK(full.head_width == 4);
  CHECK(full.context_width == 12);
  CHECK(full.query_key_value_bias);
  CHECK(full.output_bias);
  CHECK_FALSE(full.projected_bias);
  CHECK(full.dropout == 0);

  AttentionConfig own = config;
  own.heads = 5;  // no divisor of 12, which does not matter beside a head width
  own.head_width = 7;
  own.context_width = 3;
  const AttentionConfig kept = resolved(own);
  CHECK(kept.head_width == 7);
  CHECK(kept.context_width == 3);
  CHECK(resolved(kept).head_width == 7);
}

TEST_CASE("a projected length is a number or a list") {
  CHECK(ProjectedLength().list().empty());
  CHECK(ProjectedLength(7).list() == std::vector<Index>{7});
  CHECK(ProjectedLength{7, 5}.list() == std::vector<Index>{7, 5});
  CHECK(ProjectedLength(std::vector<Index>{3, 2, 1}).list() == std::vector<Index>{3, 2, 1});
}

TEST_CASE("fields out of range are named") {
  const struct {
    AttentionConfig config;
    ErrorCode code;
    const char* field;
    const char* actual;
  } cases[] = {
      {{.sequence_length = 0, .model_width = 4, .heads = 2}, ErrorCode::invalid_configuration, "sequence_length", "0"},
      {{.sequence_length = -8, .model_width = 4, .heads = 2},
       ErrorCode::invalid_configuration,
       "sequence_length",
       "-8"},
      {{.sequence_length = 8, .model_width = 0, .heads = 2}, ErrorCode::invalid_configuration, "model_width", "0"},
      {{.sequence_length = 8, .model_width = 4, .heads = 0}, ErrorCode::invalid_configuration, "heads", "0"},
      {{.sequence_length = 8, .model_width = 4, .heads = 3}, ErrorCode::invalid_configuration, "heads", "3"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .head_width = -1},
       ErrorCode::invalid_configuration,
       "head_width",
       "-1"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .context_width = -1},
       ErrorCode::invalid_configuration,
       "context_width",
       "-1"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .dropout = 1},
       ErrorCode::invalid_configuration,
       "dropout",
       "1.000000"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .dropout = -0.5},
       ErrorCode::invalid_configuration,
       "dropout",
       "-0.500000"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .dropout = std::numeric_limits<double>::quiet_NaN()},
       ErrorCode::invalid_configuration,
       "dropout",
       "nan"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .masking = Masking::causal},
       ErrorCode::unsupported,
       "masking",
       "causal"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .masking = Masking::pairwise},
       ErrorCode::unsupported,
       "masking",
       "pairwise (n x n)"},
      {{.sequence_length = 8, .model_width = 4, .heads = 2, .masking = Masking::relative},
       ErrorCode::unsupported,
       "masking",
       "relative"},
  };
  for (const auto& test : cases) {
    CAPTURE(test.field, test.actual);
    try {
      (void)resolved(test.config);
      FAIL_CHECK("no error");
    } catch (const Error& error) {
      CHECK(error.code() == test.code);
      CHECK(error.tensor() == test.field);
      CHECK(error.actual() == test.actual);
      CHECK(std::string(error.what()).find(test.field) != std::string::npos);
    }
  }
}
