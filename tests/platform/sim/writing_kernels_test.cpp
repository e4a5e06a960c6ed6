#include <doctest/doctest.h>

#include <sstream>

#include "fixture.hpp"
#include "support/built.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("every sample of docs/writing-kernels.md is code that is compiled here") {
  const std::string page = contents(tests::in_sources("docs/writing-kernels.md"));
  const std::string code = contents(tests::in_sources("tests/platform/sim/writing_kernels_sample.cpp"));
  std::size_t samples = 0;
  // Those that name another file are looked for there by the tests of the documentation.
  const std::string block = "```cpp file=tests/platform/sim/writing_kernels_sample.cpp";
  for (std::size_t at = page.find(block); at != std::string::npos; at = page.find(block, at)) {
    at = page.find('\n', at) + 1;
    const std::string sample = page.substr(at, page.find("```", at) - at);
    CAPTURE(sample);
    CHECK(code.find(sample) != std::string::npos);
    ++samples;
  }
  CHECK(samples == 10);
}

TEST_CASE("the samples of docs/writing-kernels.md do what the page says") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Chip chip(platform);
    std::vector<float> x(32, 2), y(32, 0);
    const auto tensor = [](std::vector<float>& data) { return Tensor::host(data.data(), {8, 4}); };
    REQUIRE(chip.run(chip.add("scale_and_double"), RunArgs::of(in(tensor(x)), out(tensor(y)))));
    CHECK(y == std::vector<float>(32, 12));
    REQUIRE(chip.run(chip.add("by_hand"), RunArgs::of(in(tensor(x)), out(tensor(y)))));
    CHECK(y == std::vector<float>(32, 8));
    REQUIRE(chip.run(chip.add("in_a_cluster"), RunArgs::of(inout(tensor(x)))));
    CHECK(x == std::vector<float>(32, 2));
    std::vector<float> z(32, 5);
    std::int32_t ready = 0;
    REQUIRE(chip.run(chip.add("by_looking"),
                     RunArgs::of(inout(tensor(x)), inout(Tensor::host(&ready, {1})), inout(tensor(z)))));
    CHECK(x == std::vector<float>(32, 3));
    CHECK(z == std::vector<float>(32, 1));
    x.assign(32, 8);
    REQUIRE(chip.run(chip.add("until_small"), RunArgs::of(inout(tensor(x)))));
    CHECK(x == std::vector<float>(32, 1));
    const auto chip_layers = chip.add("layer_by_layer");
    for (int run = 0; run < 2; ++run) {
      x.assign(32, 3);
      REQUIRE(chip.run(chip_layers, RunArgs::of(inout(tensor(x)), out(tensor(y)))));
      CHECK(x == std::vector<float>(32, 3));
    }
  }
}
