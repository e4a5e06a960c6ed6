// A scalar travelled as 64 bits and nothing else: `scalar(1.0)` or `scalar(1)` read as `float` gave 0 or a
// number near it, without a word. Promised now: what a scalar was made from travels beside its word. Integers
// are read as any integer type that holds the value; everything else is read as what it was given as, or the
// task fails and says what was given and what was read. A program, whose parameters are declared, takes a
// number of another type where nothing of it is lost. The words that kernels get are as they were.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "support/built.hpp"
#include "support/error_of.hpp"
#include "troupe/platform/chip_program.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using platform::ChipArgs;
using platform::ChipOrchestrator;
using runtime::convert_scalar;
using runtime::read_scalar;
using test::error_of;
using testing::Simulation;

namespace {

template <class T, class Given>
std::optional<T> as(Given value) {
  try {
    return read_scalar<T>(scalar(value), 0);
  } catch (const Error&) {
    return std::nullopt;
  }
}
template <class T, class Given>
std::optional<T> exactly(Given value) {
  try {
    return convert_scalar<T>(scalar(value), 0);
  } catch (const Error&) {
    return std::nullopt;
  }
}

enum class Mode : std::uint8_t { slow = 1 };

struct Pair {
  std::int32_t a, b;
};

void halve(Orchestrator& node, Tensor x, float by) {
  node.submit("scalar_kinds_kernel", inout(x), scalar(by));
}

}  // namespace

TROUPE_KERNEL(scalar_kinds_kernel)(KernelArgs& k) { k.tensor<float>(0)[0] = k.scalar<float>(0); }
TROUPE_HOST_FUNCTION(scalar_kinds_function)(HostArgs& args) {
  args.tensor<float>(0)[0] = args.scalar<float>(0);
}
TROUPE_CHIP_PROGRAM(scalar_kinds_chip_program)(ChipOrchestrator& chip, ChipArgs args) {
  // 0: reads another kind itself; 1: its kernel does.
  if (args.scalar<int>(0) == 0) (void)args.scalar<float>(1);
  chip.aiv("scalar_kinds_kernel", runtime::inout(args.tensor(0)), scalar(args.scalar<double>(1)));
}
TROUPE_PROGRAM(halve);

TEST_CASE("integers are read as any integer type that holds the value") {
  CHECK(as<std::int64_t>(-1) == -1);
  CHECK(as<std::int8_t>(std::uint64_t{127}) == 127);
  CHECK_FALSE(as<std::int8_t>(std::uint64_t{128}));
  CHECK_FALSE(as<std::uint32_t>(-1));
  CHECK_FALSE(as<std::uint64_t>(std::int64_t{-1}));
  CHECK(as<std::uint32_t>(std::size_t{7}) == 7U);
  CHECK_FALSE(as<std::uint32_t>(std::size_t{1} << 32U));
  CHECK(as<std::int64_t>(std::numeric_limits<std::int64_t>::min()) ==
        std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(as<std::int64_t>(std::numeric_limits<std::uint64_t>::max()));
  CHECK(as<int>(true) == 1);
  CHECK(as<bool>(1) == true);
  CHECK_FALSE(as<bool>(2));
  CHECK(as<Mode>(1) == Mode::slow);
  CHECK(as<int>(Mode::slow) == 1);
  CHECK(as<long long>(5) == 5);
}

TEST_CASE("everything else is read as what it was given as") {
  CHECK(as<float>(1.5F) == 1.5F);
  CHECK_FALSE(as<float>(1.0));
  CHECK_FALSE(as<float>(1));
  CHECK_FALSE(as<double>(1.0F));
  CHECK_FALSE(as<int>(1.0F));
  CHECK_FALSE(as<bool>(1.0F));
  CHECK_FALSE(as<runtime::Float16>(1.0F));
  CHECK(as<runtime::BFloat16>(runtime::BFloat16(1.0F)) == runtime::BFloat16(1.0F));
  // Where nobody can say what it is, the reader decides.
  CHECK(as<Pair>(Pair{3, 4})->b == 4);
  CHECK(as<std::uint64_t>(Pair{3, 0}) == 3U);
  CHECK(read_scalar<float>({0x3F800000}, 0) == 1.0F);
}

TEST_CASE("a declared parameter takes a number of another type only when nothing of it is lost") {
  CHECK(exactly<float>(1) == 1.0F);
  CHECK(exactly<float>(1.5) == 1.5F);
  CHECK_FALSE(exactly<float>(0.1));
  CHECK_FALSE(exactly<float>(1e300));
  CHECK(exactly<float>(std::numeric_limits<double>::infinity()) == std::numeric_limits<float>::infinity());
  CHECK(std::isnan(*exactly<float>(std::numeric_limits<double>::quiet_NaN())));
  CHECK_FALSE(exactly<float>((1 << 24) + 1));
  CHECK(exactly<double>((1 << 24) + 1) == 16777217.0);
  CHECK_FALSE(exactly<double>(std::numeric_limits<std::uint64_t>::max()));
  CHECK(exactly<int>(2.0) == 2);
  CHECK(exactly<int>(-2.0F) == -2);
  CHECK_FALSE(exactly<int>(2.5));
  CHECK_FALSE(exactly<std::uint32_t>(-1.0));
  CHECK_FALSE(exactly<std::int64_t>(9223372036854775808.0));
  CHECK(exactly<std::int64_t>(-9223372036854775808.0) == std::numeric_limits<std::int64_t>::min());
  CHECK_FALSE(exactly<int>(std::numeric_limits<double>::quiet_NaN()));
  CHECK_FALSE(exactly<int>(std::numeric_limits<double>::infinity()));
  CHECK(exactly<bool>(1.0) == true);
}

TEST_CASE("a kernel, a host function and a chip program that read another kind fail and say so") {
  System system({.log_level = 0});
  const auto* const platform = "lib/libtroupe_a2a3sim.so";
  auto node = system.node({.platform = tests::built(platform), .chips = 1});
  node.load(this_module());
  auto x = node.tensor<float>({1});
  const auto failure = [&](std::string_view name, const auto&... scalars) {
    const auto seen = error_of([&] { (void)x.host<const float>(); });
    if (seen) x.overwrite<float>()[0] = 2.5F;  // what a failed writer left is nobody's
    const auto error = error_of(
        [&] { node.run([&](Orchestrator& program) { program.submit(name, inout(x), scalars...); }); });
    return error ? render(*error) : std::string();
  };
  const auto says = [](const std::string& text, std::string_view what) {
    CAPTURE(text);
    CHECK(text.find(what) != std::string::npos);
  };
  CHECK(failure("scalar_kinds_kernel", scalar(2.5F)).empty());
  CHECK(x.host<float>()[0] == 2.5F);
  says(failure("scalar_kinds_kernel", scalar(1)), "scalar argument 0 was given as i32 (1) and read as f32");
  says(failure("scalar_kinds_kernel", scalar(0.5)),
       "scalar argument 0 was given as f64 (0.5) and read as f32");
  says(failure("scalar_kinds_kernel", scalar(0.5)), "task \"scalar_kinds_kernel\"");
  CHECK(failure("scalar_kinds_function", scalar(3.5F)).empty());
  says(failure("scalar_kinds_function", scalar(1)), "was given as i32 (1) and read as f32");
  says(failure("scalar_kinds_chip_program", scalar(0), scalar(0.5)),
       "scalar argument 1 was given as f64 (0.5) and read as f32");
  says(failure("scalar_kinds_chip_program", scalar(1), scalar(0.5)),
       "scalar argument 0 was given as f64 (0.5) and read as f32");
}

TEST_CASE("a scripted kernel that reads another kind fails likewise") {
  Simulation sim;
  sim.kernel("scale", [](auto& call) { (void)call.template scalar<float>(0); });
  sim.node().run([](Orchestrator& node) { node.submit("scale", scalar(1.0F)); });
  const auto error =
      error_of([&] { sim.node().run([](Orchestrator& node) { node.submit("scale", scalar(1)); }); });
  REQUIRE(error);
  CHECK(render(*error).find("given as i32 (1) and read as f32") != std::string::npos);
}

TEST_CASE("a program's numbers arrive whole, or are refused where they are given") {
  Simulation sim;
  auto& node = sim.node();
  node.load(this_module());
  auto x = node.tensor<float>({1});
  node.run(halve, x, 2);
  CHECK(x.host<float>()[0] == 2.0F);
  node.run(halve, x, 0.5);
  CHECK(x.host<float>()[0] == 0.5F);
  const auto direct = error_of([&] { node.run(halve, x, 0.1); });
  REQUIRE(direct);
  CHECK(*direct == runtime::Errc::dtype_mismatch);
  CHECK(error_of([&] { node.run([](Orchestrator&, int) {}, 1.5); }));
  CHECK_FALSE(error_of([&] { node.run([](Orchestrator&, auto value) { CHECK(value == 1.5); }, 1.5); }));
  node.run("halve", args(inout(x), scalar(4)));
  CHECK(x.host<float>()[0] == 4.0F);
  CHECK(error_of([&] { node.run("halve", args(inout(x), scalar(0.1))); }));
}

TEST_CASE("at a pod, a program that cannot take its arguments is refused at the submit") {
  Simulation sim({.nodes = 1});
  auto& pod = sim.node();
  auto x = pod.tensor<float>({1});
  pod.run([&](Orchestrator& node) {
    const auto lost = error_of([&] { node.submit(halve, inout(x), scalar(0.1)); });
    REQUIRE(lost);
    CHECK(lost->message().find("given as f64 (0.1) and read as f32") != std::string::npos);
    CHECK(error_of([&] { node.submit(halve, inout(x)); }));
  });
}
