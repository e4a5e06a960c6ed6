// Kernels that write next to what they were given, on checked chips: each is seen, by name and how far.
#include <doctest/doctest.h>

#include <cstddef>
#include <cstdint>

#include "domain.hpp"
#include "fixture.hpp"
#include "latches.hpp"

using namespace troupe;
using runtime::Compare;
using runtime::KernelArgs;
using namespace troupe::test;

namespace {

constexpr std::int64_t kib = 1024, mib = kib * kib;
constexpr std::int64_t sizes[]{1, 63, 64, 4 * kib - 1, 4 * kib, 4 * kib + 1, mib + 3};

std::uint32_t extent(std::int64_t size) { return static_cast<std::uint32_t>(size); }

Tensor bytes(std::vector<std::uint8_t>& memory) {
  return Tensor::host(memory.data(), {extent(static_cast<std::int64_t>(memory.size()))});
}

Chip checked_chip(const char* platform) { return Chip(platform, {{"checked", "1"}}); }

/// What the run was refused with; empty: it was not.
std::string refusal(Chip& chip, std::uint64_t callable, const RunArgs& args) {
  const auto done = chip.run(callable, args);
  if (done) return "";
  CHECK(done.error() == Errc::kernel_failed);
  return done.error().message();
}

void check_found(const std::string& message, const std::string& what) {
  CAPTURE(message);
  CHECK(message.find("on device 0 failed: run_runtime: " + what) != std::string::npos);
}

}  // namespace

// Writes so many bytes of tensor 0, from an offset that the bounds of the tensor have nothing to do with.
TROUPE_KERNEL(pokes)(KernelArgs& k) {
  volatile std::uint8_t* x = k.tensor<std::uint8_t>(0).data() + k.scalar<std::int64_t>(0);
  for (std::int64_t i = 0; i < k.scalar<std::int64_t>(1); ++i) x[i] = 1;
}

TROUPE_CHIP_PROGRAM(pokes_on_chip)(ChipOrchestrator& chip, ChipArgs args) {
  chip.aiv("pokes", inout(args.tensor(0)), scalar(args.scalar<std::int64_t>(0)),
           scalar(args.scalar<std::int64_t>(1)));
}

// At an intermediate between two others, of the size that scalar 2 says.
TROUPE_CHIP_PROGRAM(pokes_at_intermediate)(ChipOrchestrator& chip, ChipArgs args) {
  const auto size = static_cast<std::uint32_t>(args.scalar<std::int64_t>(2));
  const auto before = chip.aiv("nothing", out_new<std::uint8_t>({size}));
  const auto made = chip.aiv("pokes", out_new<std::uint8_t>({size}), scalar(args.scalar<std::int64_t>(0)),
                             scalar(args.scalar<std::int64_t>(1)));
  const auto after = chip.aiv("nothing", out_new<std::uint8_t>({size}));
  chip.aiv("nothing", in(before), in(made), in(after));
}

TEST_CASE("a byte written next to a host tensor of any size fails the run by name") {
  for (const char* platform : platforms) {
    Chip chip = checked_chip(platform);
    const auto kernel = chip.add("pokes"), program = chip.add("pokes_on_chip");
    for (const auto callable : {kernel, program}) {
      for (const std::int64_t size : sizes) {
        CAPTURE(platform);
        CAPTURE(callable);
        CAPTURE(size);
        std::vector<std::uint8_t> x(static_cast<std::size_t>(size), 7);
        const auto poke = [&](std::int64_t at, std::int64_t count) {
          return refusal(chip, callable, RunArgs::of(inout(bytes(x)), scalar(at), scalar(count)));
        };
        check_found(poke(size, 1), "kernel 'pokes' wrote past the end of tensor 0: byte 1 behind it");
        check_found(poke(size + 4, 4),
                    "kernel 'pokes' wrote past the end of tensor 0: bytes 5 to 8 behind it");
        check_found(poke(-1, 1),
                    "kernel 'pokes' wrote before the beginning of tensor 0: byte 1 in front of it");
        check_found(poke(-3, 2),
                    "kernel 'pokes' wrote before the beginning of tensor 0: bytes 2 to 3 in front of it");
        CHECK(x == std::vector<std::uint8_t>(x.size(), 7));  // nothing of a run that failed
        CHECK(poke(0, size) == "");
        CHECK(x == std::vector<std::uint8_t>(x.size(), 1));
      }
    }
  }
}

TEST_CASE("a byte written next to a view in the middle of a buffer fails the run, and its neighbours stay") {
  Chip chip = checked_chip("a2a3sim");
  const auto kernel = chip.add("pokes"), program = chip.add("pokes_on_chip");
  for (const auto callable : {kernel, program}) {
    std::vector<std::uint8_t> x(100, 7);
    const auto poke = [&](std::int64_t at) {
      return refusal(chip, callable, RunArgs::of(inout(bytes(x).slice(0, 11, 32)), scalar(at), scalar(1l)));
    };
    check_found(poke(21), "kernel 'pokes' wrote past the end of tensor 0: byte 1 behind it");
    check_found(poke(-1), "kernel 'pokes' wrote before the beginning of tensor 0: byte 1 in front of it");
    CHECK(x == std::vector<std::uint8_t>(100, 7));
    CHECK(poke(20) == "");
    CHECK(x[31] == 1);
  }
}

TEST_CASE("a kernel that ignores the strides of a view fails the run") {
  Chip chip = checked_chip("a2a3sim");
  const auto kernel = chip.add("pokes"), program = chip.add("pokes_on_chip");
  for (const auto callable : {kernel, program}) {
    std::vector<std::uint8_t> x(64, 7);
    const auto columns = Tensor::host(x.data(), {8, 8}).view({0, 2}, {8, 3});
    check_found(refusal(chip, callable, RunArgs::of(inout(columns), scalar(0l), scalar(5l))),
                "kernel 'pokes' wrote between the elements of tensor 0, which is a view: bytes 3 to 4 from "
                "its beginning");
    // Another argument may fill the gaps: then they are its own.
    const auto rest = Tensor::host(x.data(), {8, 8}).view({0, 5}, {8, 3});
    CHECK(refusal(chip, callable, RunArgs::of(inout(columns), inout(rest), scalar(0l), scalar(5l))) == "");
  }
}

TEST_CASE("a byte written next to memory of the chip fails the run, and only that one") {
  for (const char* platform : platforms) {
    Chip chip = checked_chip(platform);
    const auto kernel = chip.add("pokes"), program = chip.add("pokes_on_chip");
    for (const std::int64_t size : sizes) {
      CAPTURE(platform);
      CAPTURE(size);
      const auto memory = chip.context.malloc(static_cast<std::uint64_t>(size)).value();
      for (const auto callable : {kernel, program}) {
        CAPTURE(callable);
        const auto poke = [&](std::int64_t at) {
          const auto tensor = Tensor::create({0, 0, memory}, static_cast<std::uint64_t>(size), 0,
                                             {extent(size)}, runtime::DType::u8);
          RunArgs args;
          args.add_device(inout(tensor.value()), memory).add(scalar(at)).add(scalar(1l));
          return refusal(chip, callable, args);
        };
        check_found(poke(size), "kernel 'pokes' wrote past the end of tensor 0: byte 1 behind it");
        check_found(poke(-1), "kernel 'pokes' wrote before the beginning of tensor 0: byte 1 in front of it");
        CHECK(poke(0) == "");
      }
      CHECK(chip.context.free(memory));
    }
  }
}

TEST_CASE("a byte written next to an intermediate on the chip fails the run") {
  for (const char* platform : platforms) {
    Chip chip = checked_chip(platform);
    const auto program = chip.add("pokes_at_intermediate");
    for (const std::int64_t size : {1l, 63l, kib - 1, kib, 4 * kib - 1, 4 * kib, mib + 3}) {
      CAPTURE(platform);
      CAPTURE(size);
      const auto poke = [&](std::int64_t at) {
        return refusal(chip, program, RunArgs::of(scalar(at), scalar(1l), scalar(size)));
      };
      check_found(poke(size), "kernel 'pokes' wrote past the end of tensor 0: byte 1 behind it");
      check_found(poke(-1), "kernel 'pokes' wrote before the beginning of tensor 0: byte 1 in front of it");
      CHECK(poke(size - 1) == "");
    }
  }
}

TEST_CASE("intermediates that fit their arena fit it on a checked chip") {
  Chip chip("a2a3sim", {{"checked", "1"}, {"memory_bytes", "1048576"}});  // arenas of 128 KiB
  std::vector<float> x(256, 0);
  REQUIRE(
      chip.run(chip.add("reuses_the_heap"), RunArgs::of(inout(Tensor::host(x.data(), {256})), scalar(1000))));
  CHECK(x == std::vector<float>(256, 1000));
}

TEST_CASE("a byte written next to a window fails the run, which says that a peer may have done it") {
  for (const std::int64_t size : {1l, 64l, 4 * kib - 1, 4 * kib}) {
    CAPTURE(size);
    Domain domain("a2a3sim", 2, 700 + static_cast<std::uint64_t>(size), static_cast<std::uint64_t>(size),
                  {{"checked", "1"}});
    Chip& chip = *domain.chips[0];
    const auto kernel = chip.add("pokes");
    const auto poke = [&](std::int64_t at) {
      const auto base = domain.views[0].local_base;
      const auto tensor = Tensor::create({0, 0, base}, static_cast<std::uint64_t>(size), 0, {extent(size)},
                                         runtime::DType::u8);
      RunArgs args;
      args.add_device(inout(tensor.value()), base).add(scalar(at)).add(scalar(1l));
      return refusal(chip, kernel, args);
    };
    check_found(poke(size),
                "kernel 'pokes', or one of a peer, wrote past the end of tensor 0: byte 1 behind it");
    check_found(
        poke(-1),
        "kernel 'pokes', or one of a peer, wrote before the beginning of tensor 0: byte 1 in front of it");
    CHECK(poke(0) == "");
  }
}

TEST_CASE("a byte written between two buffers of a window fails the run with the buffer it lies next to") {
  constexpr std::uint64_t size = 100, second = 192;
  Domain domain("a2a3sim", 2, 790, second + size, {{"checked", "1"}}, {{size, second - size}});
  Chip& chip = *domain.chips[0];
  const auto kernel = chip.add("pokes");
  const auto poke = [&](std::uint64_t offset, std::int64_t at) {
    const auto base = domain.views[0].local_base + offset;
    const auto tensor = Tensor::create({0, 0, base}, size, 0, {size}, runtime::DType::u8);
    RunArgs args;
    args.add_device(inout(tensor.value()), base).add(scalar(at)).add(scalar(1l));
    return refusal(chip, kernel, args);
  };
  const std::string who = "kernel 'pokes', or one of a peer, wrote ";
  check_found(poke(0, size), who + "past the end of tensor 0: byte 1 behind it");
  check_found(poke(second, -1), who + "before the beginning of tensor 0: byte 1 in front of it");
  check_found(poke(0, second + size), who + "past the end of tensor 0: byte 193 behind it");
  CHECK(poke(0, 0) == "");
  troupe_window_spec wrong{};
  wrong.domain[0] = 791;
  wrong.rank_count = 1;
  wrong.bytes = 64;
  const troupe_window_gap outside{32, 33};
  wrong.gaps = &outside;
  wrong.gap_count = 1;
  troupe_window_blob blob{};
  CHECK(chip.context.window_create(wrong, blob).error() == Errc::invalid_argument);
}

TROUPE_KERNEL(pokes_beside_another)(KernelArgs& k) {
  k.scalar<Latches*>(0)->entered.wait();
  volatile std::uint8_t* x = k.tensor<std::uint8_t>(0).data();
  x[k.tensor<std::uint8_t>(0).size()] = 1;
}
TROUPE_KERNEL(stays_until_the_end)(KernelArgs& k) {
  k.scalar<Latches*>(0)->entered.open();
  (void)k.wait_until(k.tensor<std::int32_t>(1)[0], Compare::equal, std::int32_t{1});
}
TROUPE_CHIP_PROGRAM(one_of_two_pokes)(ChipOrchestrator& chip, ChipArgs args) {
  const auto [x, flag] = args.tensors<2>();
  chip.aiv("stays_until_the_end", in(x), in(flag), scalar(args.scalar<std::uint64_t>(0)));
  chip.aiv("pokes_beside_another", in(x), scalar(args.scalar<std::uint64_t>(0)));
}

TEST_CASE("of two kernels that run side by side on one tensor, the error names both") {
  Chip chip = checked_chip("a2a3sim");
  Latches latches;
  std::vector<std::uint8_t> x(8, 0);
  std::int32_t flag = 0;
  check_found(
      refusal(chip, chip.add("one_of_two_pokes"),
              RunArgs::of(in(bytes(x)), in(Tensor::host(&flag, {1})), scalar(&latches))),
      "kernel 'pokes_beside_another', or kernel 'stays_until_the_end', wrote past the end of tensor 0");
}
