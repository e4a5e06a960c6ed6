// What is loaded as an orchestration, and what is refused with a sentence.
#include <doctest/doctest.h>

#include "orchestration/orchestrations.hpp"
#include "troupe/platform/errc.hpp"

using namespace troupe;
using namespace troupe::test;

namespace {

std::string refusal(const std::vector<char>& bytes) {
  Orchestrations chip("a2a3sim");
  const auto added = chip.try_bytes("chain", bytes);
  REQUIRE_FALSE(added.has_value());
  CHECK(added.error() == Errc::bad_callable);
  return added.error().message();
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<char> chain_with(const std::string& entry, const std::vector<tests::PackedChild>& children = {}) {
  return tests::pack_orchestration(object_file("chain_tmr"), entry, {1, 2, 0}, children);
}

}  // namespace

TEST_CASE("an orchestration object alone finds its kernels among what is registered under their numbers") {
  for (const auto* platform : platforms) {
    for (const std::string runtime : runtimes) {
      Orchestrations chip(platform);
      const auto chain = chip.add_bytes("chain", object_file("chain_" + runtime));
      chip.add_bytes("0", object_file("linear"));
      chip.add_bytes("7", tests::pack_kernel(object_file("linear"), {1, 2, 0, 0}));
      std::vector<float> x(32, 3.0f), y(32, 0.0f);
      const auto done = chip.run(chain, RunArgs::of(in(Tensor::host(x.data(), {32})),
                                                    out(Tensor::host(y.data(), {32})), scalar(0.5f)));
      REQUIRE_MESSAGE(done.has_value(), render(done.error()));
      CHECK(y == std::vector<float>(32, 70.5f));
    }
  }
}

TEST_CASE("a packed kernel runs alone, as one that is not packed") {
  Orchestrations chip("a5sim");
  const auto linear = chip.add_bytes("linear", tests::pack_kernel(object_file("linear"), {}));
  std::vector<float> x(8, 3.0f), y(8, 0.0f);
  REQUIRE(chip.run(linear, RunArgs::of(in(Tensor::host(x.data(), {8})), out(Tensor::host(y.data(), {8})),
                                       scalar(2.0f), scalar(1.0f)))
              .has_value());
  CHECK(y == std::vector<float>(8, 7.0f));
}

TEST_CASE("generations that are not known are told by what they export") {
  CHECK(has(refusal(object_file("without_bind")), "it takes no runtime"));
  CHECK(has(refusal(object_file("without_log")), "it takes no log"));
  CHECK(has(refusal(object_file("other_log")), "it knows no log of version 1"));
}

TEST_CASE("an entry that is not there, or has no name, is refused") {
  CHECK(has(refusal(chain_with("another_entry")), "it exports no entry 'another_entry'"));
  CHECK(has(refusal(tests::pack_orchestration(object_file("chain_hbg"), "", {}, {})), "names no entry"));
}

TEST_CASE("packed bytes that contradict themselves are refused before anything is loaded") {
  const auto kernel = tests::pack_kernel(object_file("linear"), {});
  const auto changed = [](std::vector<char> bytes, std::size_t at, auto value) {
    tests::put_at(bytes, at, value);
    return bytes;
  };
  const auto good = chain_with("aicpu_orchestration_entry", {{3, kernel}});
  CHECK(has(refusal(changed(good, 1028, 0x7FFFFFFF)), "ends inside its orchestration"));
  CHECK(has(refusal(changed(good, 1024, 257)), "a signature of 257 arguments"));
  CHECK(has(refusal(changed(good, 0, 9)), "unknown direction 9"));
  CHECK(has(refusal(changed(good, 1096, 64)), "an entry name of 64 bytes"));
  CHECK(has(refusal(changed(good, 9360, -1)), "a configuration name of"));
  CHECK(has(refusal(changed(good, 9292, 1025)), "1025 kernels"));
  CHECK(has(refusal(changed(good, 1100, 1024)), "a kernel of number 1024"));
  CHECK(has(refusal(changed(good, 1100, -1)), "a kernel of number -1"));
  CHECK(has(refusal(changed(good, 5196, 1)), "lies at byte 1"));
  CHECK(has(refusal(changed(good, 5196, 0x7FFFFFC0)), "lies at byte 2147483584"));
  CHECK(has(refusal(changed(kernel, 132, -1)), "ends inside its object"));
  CHECK(has(refusal(chain_with("aicpu_orchestration_entry", {{3, kernel}, {3, kernel}})),
            "two kernels of number 3"));
  const std::vector<char> cut(kernel.begin(), kernel.begin() + 400);
  CHECK(has(refusal(cut), "ends inside its object"));
}

TEST_CASE("a kernel inside that cannot be loaded is named with its number") {
  CHECK(has(refusal(chain_with("aicpu_orchestration_entry",
                               {{5, tests::pack_kernel(object_file("chain_tmr"), {})}})),
            "'chain/5'"));
}

TEST_CASE("an orchestration that was registered again is the new one, and one that ran can be unregistered") {
  Orchestrations chip("a2a3sim");
  for (int round = 0; round < 3; ++round) {
    const auto chain =
        chip.add_packed("chain", round % 2 == 0 ? "tmr" : "hbg", {{0, "linear"}, {7, "linear"}});
    std::vector<float> x(32, 1.0f), y(32, 0.0f);
    REQUIRE(chip.run(chain, RunArgs::of(in(Tensor::host(x.data(), {32})), out(Tensor::host(y.data(), {32})),
                                        scalar(1.0f)))
                .has_value());
    CHECK(y == std::vector<float>(32, 31.0f));
    REQUIRE(chip.context.unregister_callable(chain).has_value());
  }
}
