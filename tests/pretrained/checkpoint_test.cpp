#include <linformer/pretrained/checkpoint.hpp>

#include "pretrained/checkpoint_files.hpp"

namespace {

/// A checkpoint of the tensors x in a.safetensors and y in b.safetensors.
void write_two(const TemporaryFolder& folder, const std::string& weight_map) {
  const std::vector<float> x{1, 2}, y{3};
  const Index two[] = {2}, one[] = {1};
  write_safetensors(folder.file("a.safetensors"), {safetensors_tensor<float>("x", two, x)});
  write_safetensors(folder.file("b.safetensors"), {safetensors_tensor<float>("y", one, y)});
  put(folder.file("model.safetensors.index.json"), R"({"metadata": {}, "weight_map": )" + weight_map + "}");
}

constexpr const char* right_map = R"({"x": "a.safetensors", "y": "b.safetensors"})";

}  // namespace

TEST_CASE("a checkpoint knows which file holds a tensor", "[pretrained]") {
  const TemporaryFolder folder;
  write_two(folder, right_map);
  const Checkpoint opened = [&] {
    Checkpoint checkpoint = Checkpoint::open(folder.path());
    return Checkpoint(std::move(checkpoint));  // views stay valid
  }();
  REQUIRE(opened.name() == folder.file("model.safetensors.index.json"));
  REQUIRE(opened.places().size() == 2);
  REQUIRE(opened.file_of("x").name() == folder.file("a.safetensors"));
  REQUIRE(opened.file_of("y").name() == folder.file("b.safetensors"));
  REQUIRE(opened.find("x")->shape == std::vector<Index>{2});
  REQUIRE(opened.find("z") == nullptr);
  check_error([&] { static_cast<void>(opened.file_of("z")); }, ErrorCode::malformed_input, opened.name() + ": z");
}

TEST_CASE("a whole file is preferred to an index", "[pretrained]") {
  const TemporaryFolder folder;
  write_two(folder, right_map);
  std::filesystem::copy_file(folder.file("b.safetensors"), folder.file("model.safetensors"));
  const Checkpoint checkpoint = Checkpoint::open(folder.path());
  REQUIRE(checkpoint.name() == folder.file("model.safetensors"));
  REQUIRE(checkpoint.places().size() == 1);
}

TEST_CASE("an index and files that differ are told", "[pretrained]") {
  const TemporaryFolder folder;
  const auto open = [&] { static_cast<void>(Checkpoint::open(folder.path())); };
  const std::string index = folder.file("model.safetensors.index.json");
  write_two(folder, R"({"x": "a.safetensors", "y": "a.safetensors"})");
  check_error(open, ErrorCode::malformed_input, folder.file("a.safetensors") + ": y");
  write_two(folder, R"({"y": "b.safetensors", "x": "b.safetensors"})");
  check_error(open, ErrorCode::malformed_input, folder.file("b.safetensors") + ": x");
  write_two(folder, R"({"x": "a.safetensors", "y": "c.safetensors"})");
  check_error(open, ErrorCode::file_access, folder.file("c.safetensors"));
  std::filesystem::copy_file(folder.file("b.safetensors"), folder.file("c.safetensors"));
  write_two(folder, R"({"x": "a.safetensors"})");
  open();  // a file that the index does not name is none of it
  const std::vector<float> values{1};
  const Index one[] = {1};
  write_safetensors(folder.file("a.safetensors"),
                    {safetensors_tensor<float>("x", one, values), safetensors_tensor<float>("z", one, values)});
  check_error(open, ErrorCode::malformed_input, folder.file("a.safetensors") + ": z");

  for (const char* name : {R"("../a.safetensors")", R"("/etc/a")", R"("sub/a.safetensors")", R"("")", R"("..")", "1"}) {
    write_two(folder, std::string(R"({"x": )") + name + "}");
    CAPTURE(name);
    check_error(open, ErrorCode::malformed_input, index + ": x");
  }
  for (const char* map : {"[]", "1", "null"}) {
    write_two(folder, map);
    check_error(open, ErrorCode::malformed_input, index + ": weight_map");
  }
  for (const std::string& map :
       {std::string("{"), std::string(100'000, '['),
        std::string(R"({"x": "a.safetensors", "y": "b.safetensors", "x": "b.safetensors"})")}) {
    write_two(folder, map);
    check_error(open, ErrorCode::malformed_input, index);
  }
  put(index, "[]");
  check_error(open, ErrorCode::malformed_input, index + ": weight_map");
}
