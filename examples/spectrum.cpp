// The paper's Figure 1 on a model and texts of yours: how much of softmax attention matrices of low rank can keep, what
// one E and F for all texts keep of it, and which k that advises. scripts/plot_spectrum.py draws what it writes.
#include "support/any_tokenizer.hpp"
#include "support/attention_study.hpp"
#include "support/conversion_choice.hpp"
#include "support/encoder_calls.hpp"

#include <cstdio>

namespace {

using namespace linformer;
using Json = nlohmann::ordered_json;

struct Options {
  std::string model, output = "spectrum.json", criterion = "output", break_at = "line";
  std::vector<std::string> files;
  ConversionChoice conversion;
  std::vector<Index> ranks, projected_lengths;
  Index texts = 8, threads = 2;
  double keep = 0.9;
};

const std::map<std::string, DocumentBreak> breaks{{"none", DocumentBreak::none},
                                                  {"line", DocumentBreak::line},
                                                  {"blank_line", DocumentBreak::blank_line},
                                                  {"heading", DocumentBreak::heading}};

constexpr const char* output_format = R"(What is written, a JSON object:
  texts and tokens that were looked at, fit_texts before them that E and F were fitted to, sequence_length (n), keep,
  ranks, projected_lengths (k)
  layers: of each layer, summed over its heads and all texts
    cumulative        of P, for r = 1 ... n: the sum of the r largest singular values by the sum of all, the mean over
                      texts and heads
    output_error      of P*V, for r = 0 ... d: |P*V - (P*V)r| / |P*V|, where (P*V)r is the best matrix of rank r for
                      each text and head
    projection_error  for each k: |P*V - P'*F*V| / |P*V|, P' = softmax(Q*(E*K)^T / sqrt(d)), with the same E and F for
                      all texts
    probability_rank  the smallest r whose cumulative is at least keep
    output_rank       the smallest r with 1 - output_error^2 of at least keep
    heads             the same of each head, cumulative for the ranks alone
  advice: what convert --advice takes: how the E and F that were tried are made (fitted ones with what they were fitted
    by), the model's shape and fingerprint, and k. These are, for each layer (for each head without sharing, for all with layerwise
    sharing), by --criterion
      output          the smallest of the projected lengths with 1 - projection_error^2 of at least keep: that share of
                      |P*V|^2 is kept; n where none has it
      probabilities   probability_rank: that share of the sum of P's singular values is kept, by the best matrix for
                      each text, which E and F are not
Norms are Frobenius's.)";

/// Advised k of one entry.
Index advised_length(const AttentionStudy& study, std::size_t entry, const Options& options) {
  if (options.criterion == "probabilities") {
    return std::max(study.spectra[entry].probability_rank(options.keep), Index{1});
  }
  return smallest_length(options.projected_lengths, study.errors_of(entry), options.keep)
      .value_or(options.conversion.length);
}

std::vector<Index> numbers_to(Index first, Index last) {
  std::vector<Index> result;
  for (Index i = first; i <= last; ++i) result.push_back(i);
  return result;
}

/// Six digits: more than texts so few can tell.
double rounded(double value) { return std::round(value * 1e6) / 1e6; }

Json to_json(const AttentionStudy& study, std::size_t entry, const std::vector<Index>& ranks, double keep) {
  const AttentionSpectrum& spectrum = study.spectra[entry];
  std::vector<double> cumulative, output_error, projection_error;
  for (const Index rank : ranks) cumulative.push_back(rounded(spectrum.cumulative(rank)));
  for (const Index rank : numbers_to(0, spectrum.head_width())) {
    output_error.push_back(rounded(spectrum.output_error(rank)));
  }
  for (const ProjectionError& error : study.errors_of(entry)) projection_error.push_back(rounded(error.relative()));
  return {{"cumulative", cumulative},
          {"output_error", output_error},
          {"projection_error", projection_error},
          {"probability_rank", spectrum.probability_rank(keep)},
          {"output_rank", spectrum.output_rank(keep)}};
}

/// The first texts of the files, cut at n: those that E and F are fitted to, if they are, then those that are looked
/// at. @throws Error malformed_input if there is none
std::vector<std::vector<TokenId>> read_texts(const Options& options, Index vocabulary_size) {
  const AnyTokenizer tokenizer = AnyTokenizer::of_model(options.model, vocabulary_size);
  const Index fitted = options.conversion.fitted() ? options.conversion.fit_texts : 0;
  std::vector<std::vector<TokenId>> result;
  for (const std::string& file : options.files) {
    for (const std::string& text : read_documents(file, {.break_at = breaks.at(options.break_at)}).texts) {
      if (static_cast<Index>(result.size()) == fitted + options.texts) return result;
      EncodedText encoded = encode_text(tokenizer, text, {.length = options.conversion.length});
      result.push_back(std::move(encoded.sequences.front()));
    }
  }
  detail::require(static_cast<Index>(result.size()) > fitted, ErrorCode::malformed_input, options.files.front(),
                  fitted == 0 ? "texts" : "more than " + std::to_string(fitted) + " texts",
                  std::to_string(result.size()));
  return result;
}

/// E and F of each of the projected lengths, fitted to texts if they are to be.
std::vector<ProjectionSet<float>> projections_to_try(const Encoder<float>& encoder, const TokenBatch& fit_texts,
                                                     const Options& options, const Execution& execution) {
  std::vector<ProjectionSet<float>> result;
  for (const Index length : options.projected_lengths) {
    ConversionChoice conversion = options.conversion;
    conversion.projected_lengths = {length};
    Encoder<float> converted = to_linformer(encoder, conversion.config());
    if (conversion.fitted()) fit_with_progress(encoder, converted, fit_texts, conversion.fit, execution);
    result.push_back(converted.projections());
  }
  return result;
}

void print(const AttentionStudy& layers, const Options& options) {
  std::printf("Ranks and projected lengths that keep %.3g of the layer's, n = %td:\n%6s  %11s  %12s  %12s\n",
              options.keep, options.conversion.length, "layer", "rank of P", "rank of P*V", "k, E and F");
  for (std::size_t layer = 0; layer < layers.spectra.size(); ++layer) {
    const std::optional<Index> length =
        smallest_length(options.projected_lengths, layers.errors_of(layer), options.keep);
    std::printf("%6zu  %11td  %12td  %12s\n", layer, layers.spectra[layer].probability_rank(options.keep),
                layers.spectra[layer].output_rank(options.keep),
                length ? std::to_string(*length).c_str() : "none tried");
  }
}

/// Fills in what depends on the model. @throws Error invalid_configuration or out_of_range
void resolve(const EncoderConfig& config, Options& options) {
  Index& n = options.conversion.length;
  if (n == 0) n = config.sequence_length;
  detail::require(n <= config.sequence_length, ErrorCode::out_of_range, "--length",
                  "at most the model's " + std::to_string(config.sequence_length), std::to_string(n));
  if (options.ranks.empty()) options.ranks = {std::max(n / 4, Index{1})};
  for (const Index rank : options.ranks) {
    detail::require(rank <= n, ErrorCode::out_of_range, "--ranks", "at most n = " + std::to_string(n),
                    std::to_string(rank));
  }
  if (!options.projected_lengths.empty()) return;
  for (const Index part : {32, 16, 8, 4, 2}) {
    if (n >= part) options.projected_lengths.push_back(n / part);
  }
}

int run(Options options) {
  const Encoder<float> encoder = load_encoder(options.model);
  const EncoderConfig& config = encoder.config();
  resolve(config, options);
  const Index n = options.conversion.length;
  const auto all = read_texts(options, config.vocabulary_size);
  const auto texts =
      std::span(all).subspan(options.conversion.fitted() ? static_cast<std::size_t>(options.conversion.fit_texts) : 0);
  std::size_t tokens = 0;
  for (const auto& text : texts) tokens += text.size();

  ThreadPool pool(options.threads);
  Workspace workspace;
  const Execution execution{pool, workspace, default_isa()};
  const auto fit_texts = TokenBatch::from_sequences(std::span(all).first(all.size() - texts.size()));
  const auto projections = projections_to_try(encoder, fit_texts, options, execution);
  const AttentionStudy heads = study_attention(encoder, projections, n, texts, execution);
  const AttentionStudy layers = heads.merged(config.heads, Sharing::key_value);
  Json json = {{"model", options.model},
               {"files", options.files},
               {"texts", texts.size()},
               {"fit_texts", all.size() - texts.size()},
               {"tokens", tokens},
               {"sequence_length", n},
               {"keep", options.keep},
               {"ranks", options.ranks},
               {"projected_lengths", options.projected_lengths}};
  for (std::size_t layer = 0; layer < layers.spectra.size(); ++layer) {
    Json its = to_json(layers, layer, numbers_to(1, n), options.keep);
    for (Index head = 0; head < config.heads; ++head) {
      const auto entry = layer * static_cast<std::size_t>(config.heads) + static_cast<std::size_t>(head);
      its["heads"].push_back(to_json(heads, entry, options.ranks, options.keep));
    }
    json["layers"].push_back(std::move(its));
  }
  const AttentionStudy by_length = heads.merged(config.heads, options.conversion.encoder.sharing_value());
  options.conversion.projected_lengths.clear();
  for (std::size_t entry = 0; entry < by_length.spectra.size(); ++entry) {
    options.conversion.projected_lengths.push_back(advised_length(by_length, entry, options));
  }
  json["advice"] = options.conversion.advice(encoder, options.criterion);
  write_file(options.output, json.dump() + "\n");
  print(layers, options);
  std::printf("%s: of %zu texts, %zu tokens; convert --advice takes it, scripts/plot_spectrum.py draws it.\n",
              options.output.c_str(), texts.size(), tokens);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  CLI::App app(
      "Tells how low-rank the attention of a softmax model is on texts of yours, what one E and F for all texts keep "
      "of it, and which projected lengths that advises. The model is a folder of this library's or of a BERT, RoBERTa "
      "or XLM-RoBERTa of Hugging Face's.");
  app.footer(output_format);
  app.option_defaults()->always_capture_default();
  app.add_option("model", options.model, "folder")->required()->check(CLI::ExistingDirectory);
  app.add_option("files", options.files, "texts, a line each unless --break says otherwise")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--output", options.output, "file to write");
  app.add_option("--length", options.conversion.length, "sequence length n, where texts are cut; 0: the model's")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--break", options.break_at,
                 "where a file's texts begin: nowhere, at each line, after blank lines, or at WikiText's headings")
      ->check(CLI::IsMember({"none", "line", "blank_line", "heading"}));
  app.add_option("--texts", options.texts, "how many texts are looked at")->check(CLI::PositiveNumber);
  app.add_option("--ranks", options.ranks,
                 "ranks at which heads are judged; none: n/4, which is the paper's 128 of 512")
      ->check(CLI::PositiveNumber);
  app.add_option("--projected-lengths", options.projected_lengths, "k of E and F that are tried; none: n/32 to n/2")
      ->check(CLI::PositiveNumber);
  options.conversion.add_projections_to(app);
  app.add_option("--keep", options.keep, "share that is to be kept")->check(CLI::Range(0.0, 1.0));
  app.add_option("--criterion", options.criterion, "of what: of P*V by E and F, or of the spectrum of P")
      ->check(CLI::IsMember({"output", "probabilities"}));
  app.add_option("--threads", options.threads, "threads")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  try {
    return run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
