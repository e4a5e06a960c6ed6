// A task that fails on a part of a tensor: that part has no valid bytes, the others have.
#include <doctest/doctest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "actors/data/counted.hpp"
#include "support/error_of.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using actors::Errc;
using test::error_of;
using test::small_sims;

namespace {

constexpr std::uint64_t rows = 8, columns = 4;

const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};

/// Submits a task that fails on some rows, and goes on.
void fail_on(Orchestrator& n, const Tensor& some) {
  CHECK(error_of([&] { n.submit("data_break", inout(some)).wait(); }));
}

}  // namespace

TEST_CASE("a failed task on a part of a tensor leaves the other parts as they are") {
  for (const int chips : {1, 3}) {
    CAPTURE(chips);
    System system(quiet);
    auto node = system.node(small_sims(chips, 1U << 20U));
    node.load(this_module());
    const auto x = node.tensor<float>({rows, columns}, 1.0F);
    const auto lost = x.rows(2, 4);
    node.run([&](Orchestrator& n) {
      n.submit("data_add", inout(x.rows(4, 8)));
      fail_on(n, lost);
      n.submit("data_add", inout(x.rows(0, 2)));  // submitted after it is known
      CHECK(error_of([&] { n.submit("data_add", inout(lost)).wait(); }));
      CHECK(error_of([&] { n.submit("data_add", inout(x.rows(1, 3))).wait(); }));
    });
    CHECK(x.rows(0, 2).host<const float>()[0] == 2.0F);
    CHECK(x.rows(4, 8).host<const float>()[15] == 2.0F);
    const auto why = error_of([&] { (void)x.host<const float>(); });
    REQUIRE(why);
    CHECK(*why == Errc::data_lost);
    CHECK(
        why->message() ==
        "a part of tensor f32[8, 4] has no valid bytes: task \"data_break\", which was to write it, did not "
        "end well");
    CHECK(error_of([&] { (void)lost.host<float>(); }));
    SUBCASE("a task that writes all of that part mends it") {
      node.run([&](Orchestrator& n) { n.fill(lost, 5.0F); });
    }
    SUBCASE("so does one that writes more than that") {
      node.run([&](Orchestrator& n) {
        n.fill(x.rows(1, 4), 5.0F);
        n.fill(x.rows(1, 2), 2.0F);
      });
    }
    SUBCASE("and the host") {
      auto view = lost.overwrite<float>();
      for (auto& element : view) element = 5.0F;
    }
    const auto seen = x.host<const float>();
    for (std::uint64_t i = 0; i < rows * columns; ++i)
      CHECK(seen[i] == (i / columns == 2 || i / columns == 3 ? 5.0F : 2.0F));
  }
}

TEST_CASE(
    "what was lost in parts is good again when all of it is written, and memory of the user's after the "
    "run") {
  System system(quiet);
  auto node = system.node(small_sims(2, 1U << 20U));
  node.load(this_module());
  const auto x = node.tensor<float>({rows, columns}, 1.0F);
  node.run([&](Orchestrator& n) {
    fail_on(n, x.rows(0, 2));
    fail_on(n, x.rows(4, 8));
    n.fill(x, 3.0F);
  });
  CHECK(x.host<const float>()[31] == 3.0F);

  std::vector<float> mine(rows * columns, 1.0F);
  const auto borrowed = Tensor::borrow(mine.data(), {rows, columns});
  node.run([&](Orchestrator& n) {
    fail_on(n, borrowed.rows(0, 2));
    n.submit("data_add", inout(borrowed.rows(4, 8)));
  });
  CHECK(mine[31] == 2.0F);
  node.run([&](Orchestrator& n) { n.submit("data_add", inout(borrowed)); });
  CHECK(mine[31] == 3.0F);
}

TEST_CASE(
    "bytes that follow a failure on the same part are refused, also where a host function would see them") {
  System system(quiet);
  auto config = small_sims(2, 1U << 20U);
  config.sub_workers = 1;
  auto node = system.node(config);
  node.load(this_module());
  const auto x = node.tensor<float>({rows, columns}, 1.0F);
  float seen = 0;
  node.run([&](Orchestrator& n) {
    fail_on(n, x.rows(2, 4));
    const auto look = [&seen](HostArgs& args) { seen = args.tensor<const float>(0)(0, 0); };
    n.submit_sub(look, in(x.rows(6, 8))).wait();
    CHECK(seen == 1.0F);
    CHECK(error_of([&] { n.submit_sub(look, in(x.rows(3, 5))).wait(); }));
    CHECK(error_of([&] { (void)n.read_all<float>(x.rows(3, 4)).get(); }));
    CHECK(n.read_all<float>(x.rows(4, 5)).get()[0] == 1.0F);
  });
}
