// The collectives as chip tasks: one chip per rank, its window bound through the split-phase calls, the
// shipped kernels launched on all of them as a group, every result against plain sequential code.

#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "comm/collective_golden.hpp"
#include "domain.hpp"
#include "support/built.hpp"
#include "troupe/comm/errc.hpp"

using namespace troupe;
using namespace troupe::test;
using comm::CollectiveWorkspace;
using comm::ReduceOp;
using runtime::DType;

namespace {

constexpr std::uint64_t workspace_bytes = CollectiveWorkspace::signals + 65536;
constexpr std::uint64_t array_bytes = 65536;

const runtime::Module& collectives_module() {
  static const runtime::Module module =
      runtime::Module::open(tests::built("modules/libtroupe_collectives.so")).value();
  return module;
}

/// A domain with a workspace and room for two arrays in every window, and the kernels on every chip.
struct Group {
  Group(const std::string& platform, std::uint32_t count, std::uint64_t id)
      : ranks(count), domain(platform, count, id, workspace_bytes + 2 * array_bytes) {}

  /// Where the array number `array` lies in the window of `rank`.
  std::uint64_t address(std::uint32_t rank, std::uint64_t array) const {
    return domain.views[rank].local_base + workspace_bytes + array * array_bytes;
  }
  void add_array(RunArgs& args, std::uint32_t rank, std::uint64_t array, std::size_t count, DType dtype) {
    add_device(args, address(rank, array), count, dtype);
  }
  void add_workspace(RunArgs& args, std::uint32_t rank) {
    add_device(args, domain.views[rank].local_base, workspace_bytes, DType::u8);
  }
  void put(std::uint32_t rank, std::uint64_t array, const std::vector<std::byte>& bytes) {
    domain.chips[rank]->context.copy_to(address(rank, array), bytes.data(), bytes.size()).value();
  }
  std::vector<std::byte> get(std::uint32_t rank, std::uint64_t array, std::size_t size) {
    std::vector<std::byte> bytes(size);
    domain.chips[rank]->context.copy_from(bytes.data(), address(rank, array), size).value();
    return bytes;
  }

  /// One run per chip, all queued before any is waited for; `build(args, rank)` makes each one's arguments.
  template <class Build>
  std::vector<Completions::Entry> run(const std::string& kernel, Build build) {
    std::vector<std::unique_ptr<RunArgs>> args;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      args.push_back(std::make_unique<RunArgs>());
      build(*args.back(), rank);
      launch(rank, kernel, *args.back());
    }
    std::vector<Completions::Entry> ends;
    for (std::uint32_t rank = 0; rank < ranks; ++rank) ends.push_back(wait(rank));
    return ends;
  }
  void launch(std::uint32_t rank, const std::string& kernel, const RunArgs& args) {
    auto& id = callables[{rank, kernel}];
    if (id == 0) {
      id = domain.chips[rank]->context.register_callable(kernel, *collectives_module().raw()).value();
    }
    const auto run = args.run(++launched[rank], id);
    domain.chips[rank]->context.launch({&run, 1}).value();
  }
  Completions::Entry wait(std::uint32_t rank) {
    return domain.chips[rank]->completions.wait_for(launched[rank]);
  }

  std::uint32_t ranks;
  Domain domain;
  std::map<std::pair<std::uint32_t, std::string>, std::uint64_t> callables;
  std::map<std::uint32_t, std::uint64_t> launched;

 private:
  static void add_device(RunArgs& args, std::uint64_t address, std::size_t count, DType dtype) {
    const auto bytes = count * runtime::size_of(dtype);
    args.add_device(
        inout(Tensor::create({0, 0, address}, bytes, 0, {static_cast<std::uint32_t>(count)}, dtype).value()),
        address);
  }
};

void check_done(const std::vector<Completions::Entry>& ends) {
  for (const auto& end : ends) {
    CHECK(end.message == "");
    CHECK(end.completion.code == 0);
  }
}

}  // namespace

TEST_CASE("all_reduce as a group of chip tasks gives the golden bits, in the windows and from host tensors") {
  std::uint64_t seed = 0;
  for (const char* platform : platforms) {
    for (const std::uint32_t ranks : {2u, 3u, 4u}) {
      CAPTURE(platform);
      CAPTURE(ranks);
      Group group(platform, ranks, 500 + ranks);
      for (const std::size_t count : {1u, 1003u, 16384u}) {
        for (const DType dtype : {DType::f32, DType::bf16, DType::i32}) {
          for (std::uint64_t algorithm = 0; algorithm <= 4; ++algorithm) {
            ++seed;
            const auto expected =
                algorithm >= 3
                    ? comm::test::reduced_by_ring(seed, ranks, count, dtype, ReduceOp::sum, algorithm == 4)
                    : comm::test::reduced_in_order(seed, ranks, count, dtype, ReduceOp::sum);
            for (std::uint32_t rank = 0; rank < ranks; ++rank) {
              group.put(rank, 0, comm::test::input(seed, rank, count, dtype));
            }
            check_done(group.run("all_reduce", [&](RunArgs& args, std::uint32_t rank) {
              group.add_array(args, rank, 0, count, dtype);
              group.add_workspace(args, rank);
              args.add(scalar(group.domain.views[rank].context_address))
                  .add(scalar(0))
                  .add(scalar(algorithm));
            }));
            for (std::uint32_t rank = 0; rank < ranks; ++rank) {
              CHECK((group.get(rank, 0, expected.size()) == expected));
            }
            if (algorithm >= 3) continue;
            // Tensors of the host pass through the chip and the workspace's scratch.
            std::vector<std::vector<std::byte>> ins, outs(ranks, std::vector<std::byte>(expected.size()));
            for (std::uint32_t rank = 0; rank < ranks; ++rank) {
              ins.push_back(comm::test::input(seed, rank, count, dtype));
            }
            check_done(group.run("all_reduce", [&](RunArgs& args, std::uint32_t rank) {
              const runtime::Shape shape{static_cast<std::uint32_t>(count)};
              args.add(in(Tensor::host_bytes(ins[rank].data(), shape, dtype)));
              args.add(out(Tensor::host_bytes(outs[rank].data(), shape, dtype)));
              group.add_workspace(args, rank);
              args.add(scalar(group.domain.views[rank].context_address))
                  .add(scalar(0))
                  .add(scalar(algorithm));
            }));
            for (std::uint32_t rank = 0; rank < ranks; ++rank) CHECK((outs[rank] == expected));
          }
        }
      }
    }
  }
}

TEST_CASE("the other collectives run as groups of chip tasks, one after another on one workspace") {
  constexpr std::uint32_t ranks = 3;
  constexpr std::size_t count = 100;
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Group group(platform, ranks, 600);
    const auto context = [&](RunArgs& args, std::uint32_t rank) {
      group.add_workspace(args, rank);
      args.add(scalar(group.domain.views[rank].context_address));
    };
    std::vector<std::byte> whole(count * 4);
    for (std::size_t i = 0; i < count; ++i) {
      const auto value = static_cast<std::int32_t>(7 * i);
      std::memcpy(whole.data() + 4 * i, &value, 4);
    }
    const auto part = [&](std::uint32_t rank) {
      const comm::CollectivePart mine = comm::part_of(count, ranks, rank);
      return std::vector<std::byte>(
          whole.begin() + static_cast<std::ptrdiff_t>(4 * mine.first),
          whole.begin() + static_cast<std::ptrdiff_t>(4 * (mine.first + mine.count)));
    };

    for (std::uint32_t rank = 0; rank < ranks; ++rank) group.put(rank, 0, part(rank));
    check_done(group.run("all_gather", [&](RunArgs& args, std::uint32_t rank) {
      group.add_array(args, rank, 0, part(rank).size() / 4, DType::i32);
      group.add_array(args, rank, 1, count, DType::i32);
      context(args, rank);
    }));
    for (std::uint32_t rank = 0; rank < ranks; ++rank) CHECK((group.get(rank, 1, whole.size()) == whole));

    // The maximum of three equal arrays is the array; every rank gets its part of it.
    check_done(group.run("reduce_scatter", [&](RunArgs& args, std::uint32_t rank) {
      group.add_array(args, rank, 1, count, DType::i32);
      group.add_array(args, rank, 0, part(rank).size() / 4, DType::i32);
      context(args, rank);
      args.add(scalar(static_cast<std::uint64_t>(ReduceOp::max)));
    }));
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      CHECK((group.get(rank, 0, part(rank).size()) == part(rank)));
    }

    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      group.put(rank, 0, rank == 2 ? whole : std::vector<std::byte>(whole.size()));
    }
    check_done(group.run("broadcast", [&](RunArgs& args, std::uint32_t rank) {
      group.add_array(args, rank, 0, count, DType::i32);
      context(args, rank);
      args.add(scalar(2));
    }));
    for (std::uint32_t rank = 0; rank < ranks; ++rank) CHECK((group.get(rank, 0, whole.size()) == whole));

    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      std::vector<std::byte> blocks(2 * ranks * 4);
      for (std::uint32_t i = 0; i < 2 * ranks; ++i) {
        const auto value = static_cast<std::int32_t>(100 * rank + i);
        std::memcpy(blocks.data() + 4 * i, &value, 4);
      }
      group.put(rank, 0, blocks);
    }
    check_done(group.run("all_to_all", [&](RunArgs& args, std::uint32_t rank) {
      group.add_array(args, rank, 0, 2 * ranks, DType::i32);
      group.add_array(args, rank, 1, 2 * ranks, DType::i32);
      context(args, rank);
    }));
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      const auto got = group.get(rank, 1, 2 * ranks * 4);
      for (std::uint32_t i = 0; i < 2 * ranks; ++i) {
        std::int32_t value = 0;
        std::memcpy(&value, got.data() + 4 * i, 4);
        CHECK(value == static_cast<std::int32_t>(100 * (i / 2) + 2 * rank + i % 2));
      }
    }
    check_done(group.run("barrier", context));
  }
}

TEST_CASE("many groups queued at once on every chip keep step") {
  constexpr std::uint32_t ranks = 2;
  constexpr std::int32_t rounds = 200;
  Group group("a2a3sim", ranks, 700);
  std::int32_t ones[16];
  std::fill(std::begin(ones), std::end(ones), 1);
  std::vector<std::unique_ptr<RunArgs>> args;
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    group.domain.chips[rank]->context.copy_to(group.address(rank, 0), ones, sizeof ones).value();
    for (std::int32_t round = 0; round < rounds; ++round) {
      args.push_back(std::make_unique<RunArgs>());
      group.add_array(*args.back(), rank, 0, 16, DType::i32);
      group.add_workspace(*args.back(), rank);
      // The maximum does not grow; the sum doubles, and wraps.
      args.back()->add(scalar(group.domain.views[rank].context_address)).add(scalar(round % 20 == 0 ? 0 : 2));
      if (round > 0) args.back()->after(group.launched[rank]);
      group.launch(rank, "all_reduce", *args.back());
    }
  }
  for (std::uint32_t rank = 0; rank < ranks; ++rank) {
    CHECK(group.wait(rank).completion.code == 0);
    std::int32_t got[16];
    group.domain.chips[rank]->context.copy_from(got, group.address(rank, 0), sizeof got).value();
    for (const std::int32_t value : got) CHECK(value == 1 << 10);
  }
}

TEST_CASE("a chip task of a collective ends when a peer's chip is lost, and when it makes another call") {
  for (const char* platform : platforms) {
    CAPTURE(platform);
    {
      Group group(platform, 2, 800);
      RunArgs args;
      group.add_array(args, 0, 0, 100, DType::f32);
      group.add_workspace(args, 0);
      args.add(scalar(group.domain.views[0].context_address));
      group.launch(0, "all_reduce", args);
      const auto lost = static_cast<std::int32_t>(comm::Errc::peer_lost);
      REQUIRE(group.domain.chips[0]->context.window_abort(group.domain.windows[0], lost, 1));
      CHECK(group.wait(0).completion.code == lost);
    }
    Group group(platform, 2, 801);
    const auto ends = group.run("all_reduce", [&](RunArgs& args, std::uint32_t rank) {
      group.add_array(args, rank, 0, 100 + rank, DType::f32);
      group.add_workspace(args, rank);
      args.add(scalar(group.domain.views[rank].context_address));
    });
    for (const auto& end : ends) {
      CHECK(end.completion.code != 0);
      CHECK_MESSAGE(end.message.find("all_reduce") != std::string::npos, end.message);
    }
  }
}

TEST_CASE("the foreign allreduce runs on chips as the bytes of an object file") {
  constexpr std::uint32_t ranks = 3;
  constexpr std::size_t count = 16384;
  for (const char* platform : platforms) {
    CAPTURE(platform);
    Group group(platform, ranks, 900);
    std::ifstream file(tests::built("modules/libtroupe_allreduce_entry.so"), std::ios::binary);
    const std::vector<char> object{std::istreambuf_iterator<char>(file), {}};
    for (std::uint32_t rank = 0; rank < ranks; ++rank) {
      group.put(rank, 0, comm::test::input(5, rank, count, DType::f32));
    }
    for (std::uint32_t root = 0; root < ranks; ++root) {
      for (std::uint32_t rank = 0; rank < ranks; ++rank) {
        auto& context = group.domain.chips[rank]->context;
        troupe_callable callable{};
        const std::string name = "allreduce" + std::to_string(root);
        callable.name = name.c_str();
        callable.bytes = object.data();
        callable.byte_count = object.size();
        callable.core_kind = TROUPE_CORE_AIV;
        const auto id = context.register_callable(callable).value();
        const auto args = RunArgs::of(scalar(group.address(rank, 0)), scalar(group.address(rank, 1)),
                                      scalar(std::uint64_t{ranks}), scalar(std::uint64_t{root}),
                                      scalar(group.domain.views[rank].context_address));
        CHECK(context.run(args.run(0, id)));
        const auto got = group.get(rank, 1, count * 4);
        std::size_t wrong = 0;
        for (std::size_t i = 0; i < count; ++i) {
          float sum = 0;
          comm::test::put_reduced(reinterpret_cast<std::byte*>(&sum), 5, ranks, i, DType::f32, ReduceOp::sum,
                                  root, 1, false);
          wrong += std::memcmp(&sum, got.data() + 4 * i, 4) != 0;
        }
        CHECK(wrong == 0);
      }
    }
  }
}
