// The collectives as device kernels: the shipped module files, loaded as a user loads them, run by one thread
// per rank over a real domain.

#include <dlfcn.h>
#include <doctest/doctest.h>

#include <array>
#include <bit>
#include <string>

#include "comm/collective_golden.hpp"
#include "comm/windows/ranks.hpp"
#include "support/built.hpp"
#include "troupe/runtime/kernel_abi.hpp"
#include "troupe/runtime/module.hpp"

namespace troupe::comm::test {
namespace {

using runtime::TensorDescriptor;

constexpr std::uint64_t workspace_bytes = CollectiveWorkspace::signals + 16384;
constexpr std::uint64_t window_bytes = workspace_bytes + (std::uint64_t{1} << 19);

const runtime::Module& collectives_module() {
  static const runtime::Module module =
      runtime::Module::open(tests::built("modules/libtroupe_collectives.so")).value();
  return module;
}

TensorDescriptor tensor(const void* data, std::size_t count, DType dtype) {
  TensorDescriptor descriptor;
  descriptor.address = reinterpret_cast<std::uint64_t>(data);
  descriptor.size = count * runtime::size_of(dtype);
  descriptor.ndims = 1;
  descriptor.dtype = static_cast<std::uint8_t>(dtype);
  descriptor.is_contiguous = 1;
  descriptor.address_space = 1;
  descriptor.shapes[0] = static_cast<std::uint32_t>(count);
  descriptor.strides[0] = 1;
  descriptor.extent = count;
  return descriptor;
}

struct Outcome {
  std::int32_t code = 0;
  std::string text;
};

/// One kernel call on this thread, the way a core makes it.
Outcome call(const char* name, std::vector<TensorDescriptor> tensors, std::vector<std::uint64_t> scalars,
             const troupe_kernel_ops_v1* ops = nullptr, void* self = nullptr, std::int32_t blocks = 1) {
  const runtime::LocalContext local{0, blocks};
  const runtime::GlobalContext global{0};
  auto words = runtime::kernel_words(tensors, scalars, local, global).value();
  char text[512] = "";
  const troupe_kernel_call_v1 kernel_call{.size = sizeof(troupe_kernel_call_v1),
                                          .tensors = static_cast<std::uint32_t>(tensors.size()),
                                          .scalars = static_cast<std::uint32_t>(scalars.size()),
                                          .reserved = 0,
                                          .words = words.words,
                                          .ops = ops,
                                          .self = self,
                                          .error_text = text,
                                          .error_text_size = sizeof text,
                                          .scalar_kinds = nullptr};
  const runtime::Callable kernel = collectives_module().find(runtime::CallableKind::kernel, name).value();
  return {kernel.descriptor->invoke.kernel(&kernel_call), text};
}

class World {
 public:
  explicit World(std::uint32_t ranks) : members(make_domain(ranks, window_bytes)) {}
  ~World() { end_domain(members); }

  TensorDescriptor workspace(std::uint32_t rank) {
    return tensor(members[rank].window(rank).data(), workspace_bytes, DType::u8);
  }
  std::byte* data(std::uint32_t rank) { return members[rank].window(rank).data() + workspace_bytes; }
  std::uint64_t context(std::uint32_t rank) {
    return reinterpret_cast<std::uint64_t>(members[rank].context());
  }

  std::vector<DomainMember> members;
};

constexpr std::uint64_t op_word(ReduceOp op) { return static_cast<std::uint64_t>(op); }

TEST_CASE("the module has a kernel per collective") {
  for (const char* name :
       {"all_reduce", "all_gather", "reduce_scatter", "broadcast", "all_to_all", "barrier"}) {
    CHECK(collectives_module().find(runtime::CallableKind::kernel, name));
  }
  CHECK(collectives_module().name() == "troupe_collectives");
}

TEST_CASE("the all_reduce kernel gives the bits of the host call, for every algorithm and place") {
  for (const std::uint32_t ranks : {1u, 2u, 3u, 4u, 7u}) {
    World world(ranks);
    run_ranks(ranks, [&](std::uint32_t rank) {
      std::uint64_t seed = 0;
      std::vector<std::byte> outside(65536);
      for (const std::size_t count : {1u, 65u, 4099u}) {
        for (const DType dtype : {DType::f32, DType::f16, DType::bf16, DType::i32}) {
          for (std::uint64_t algorithm = 0; algorithm <= 4; ++algorithm) {
            const bool ring = algorithm >= 3 && ranks > 1;
            const auto mine = input(++seed, rank, count, dtype);
            const auto expected =
                ring ? reduced_by_ring(seed, ranks, count, dtype, ReduceOp::sum, algorithm == 4)
                     : reduced_in_order(seed, ranks, count, dtype, ReduceOp::sum);
            std::copy(mine.begin(), mine.end(), world.data(rank));
            const TensorDescriptor data = tensor(world.data(rank), count, dtype);
            const Outcome outcome = call("all_reduce", {data, world.workspace(rank)},
                                         {world.context(rank), op_word(ReduceOp::sum), algorithm});
            CHECK_MESSAGE(outcome.code == TROUPE_DONE, outcome.text);
            CHECK(std::equal(expected.begin(), expected.end(), world.data(rank)));
            if (ring) continue;
            std::copy(mine.begin(), mine.end(), outside.begin());
            CHECK(call("all_reduce",
                       {tensor(outside.data(), count, dtype), tensor(outside.data() + 32768, count, dtype),
                        world.workspace(rank)},
                       {world.context(rank), op_word(ReduceOp::sum), algorithm})
                      .code == TROUPE_DONE);
            CHECK(std::equal(expected.begin(), expected.end(), outside.begin() + 32768));
          }
        }
      }
    });
  }
}

TEST_CASE("the other kernels move what they must") {
  constexpr std::uint32_t ranks = 3;
  World world(ranks);
  run_ranks(ranks, [&](std::uint32_t rank) {
    auto* in = reinterpret_cast<std::int32_t*>(world.data(rank));
    auto* out = in + 1000;
    const std::uint64_t context = world.context(rank);
    const TensorDescriptor space = world.workspace(rank);
    const auto ints = [](std::int32_t* at, std::size_t count) { return tensor(at, count, DType::i32); };
    const CollectivePart part = part_of(100, ranks, rank);

    for (std::size_t i = 0; i < part.count; ++i) in[i] = static_cast<std::int32_t>(part.first + i);
    CHECK(call("all_gather", {ints(in, part.count), ints(out, 100), space}, {context}).code == TROUPE_DONE);
    for (std::int32_t i = 0; i < 100; ++i) CHECK(out[i] == i);
    std::fill_n(out, part.first, -1);
    std::fill(out + part.first + part.count, out + 100, -1);
    CHECK(call("all_gather", {ints(out, 100), space}, {context}).code == TROUPE_DONE);
    for (std::int32_t i = 0; i < 100; ++i) CHECK(out[i] == i);

    CHECK(call("reduce_scatter", {ints(out, 100), ints(in, part.count), space},
               {context, op_word(ReduceOp::sum)})
              .code == TROUPE_DONE);
    for (std::size_t i = 0; i < part.count; ++i) {
      CHECK(in[i] == static_cast<std::int32_t>(ranks * (part.first + i)));
    }
    CHECK(call("reduce_scatter", {ints(out, 100), space}, {context, op_word(ReduceOp::max)}).code ==
          TROUPE_DONE);
    for (std::int32_t i = 0; i < 100; ++i) CHECK(out[i] == i);

    in[0] = rank == 2 ? 77 : 0;
    CHECK(call("broadcast", {ints(in, 1), space}, {context, 2}).code == TROUPE_DONE);
    CHECK(in[0] == 77);

    for (std::int32_t i = 0; i < 6; ++i) in[i] = static_cast<std::int32_t>(100 * rank) + i;
    CHECK(call("all_to_all", {ints(in, 6), ints(out, 6), space}, {context}).code == TROUPE_DONE);
    for (std::int32_t i = 0; i < 6; ++i)
      CHECK(out[i] == 100 * (i / 2) + static_cast<std::int32_t>(2 * rank) + i % 2);

    CHECK(call("barrier", {space}, {context}).code == TROUPE_DONE);
  });
}

TEST_CASE("host calls and kernels take turns on one workspace") {
  World world(2);
  run_ranks(2, [&](std::uint32_t rank) {
    auto collectives =
        Collectives::over(world.members[rank], {.offset = 0, .bytes = workspace_bytes}, {.timeout = generous})
            .value();
    for (std::int32_t round = 0; round < 50; ++round) {
      std::int32_t value = round;
      CHECK(collectives.all_reduce(std::span(&value, 1)));
      CHECK(call("all_reduce", {tensor(&value, 1, DType::i32), world.workspace(rank)}, {world.context(rank)})
                .code == TROUPE_DONE);
      CHECK(value == 4 * round);
    }
  });
}

/// A core on which every wait ends the way `self` says.
const troupe_kernel_ops_v1 ending_ops{
    .size = sizeof(troupe_kernel_ops_v1),
    .reserved = 0,
    .wait = [](void* self, const void*, std::uint32_t, std::uint32_t,
               std::uint64_t) { return *static_cast<const std::int32_t*>(self); },
    .notify = nullptr,
    .aborted = nullptr,
    .log = nullptr};

TEST_CASE("a kernel whose peer cannot come, or whose run is given up, ends, and so do its peers") {
  for (std::int32_t ending : {TROUPE_ABORTED, TROUPE_PEER_LOST}) {
    World world(2);
    Outcome outcomes[2];
    const bool lost = ending == TROUPE_PEER_LOST;  // which the domain tells every rank
    run_ranks(2, [&](std::uint32_t rank) {
      outcomes[rank] = call("all_reduce", {tensor(world.data(rank), 10, DType::f32), world.workspace(rank)},
                            {world.context(rank), 0, 2}, rank == 0 || lost ? &ending_ops : nullptr, &ending);
    });
    CHECK(outcomes[0].code == ending);
    if (lost) {
      CHECK(outcomes[1].code == ending);
    } else {
      // Rank 1 has plain memory and waits for a signal; the one that came says that rank 0 left.
      CHECK(outcomes[1].code == TROUPE_FAILED);
      CHECK(outcomes[1].text.find("rank 0 gave up") != std::string::npos);
    }
  }
}

TEST_CASE("kernels refuse what cannot be, in words, and wait for nobody") {
  World world(2);
  const TensorDescriptor data = tensor(world.data(0), 16, DType::f32);
  const TensorDescriptor space = world.workspace(0);
  const std::uint64_t context = world.context(0);
  const auto refused = [&](const char* name, std::vector<TensorDescriptor> tensors,
                           std::vector<std::uint64_t> scalars, const char* words, std::int32_t blocks = 1) {
    const Outcome outcome = call(name, std::move(tensors), std::move(scalars), nullptr, nullptr, blocks);
    CHECK(outcome.code == TROUPE_FAILED);
    CHECK_MESSAGE(outcome.text.find(words) != std::string::npos, outcome.text);
  };
  refused("all_reduce", {data}, {context}, "tensor arguments");
  refused("all_reduce", {data, space}, {}, "communication context");
  refused("all_reduce", {data, space}, {0}, "null");
  refused("all_reduce", {data, space}, {context, 9}, "operation 9");
  refused("all_reduce", {data, space}, {context, 0, 9}, "algorithm 9");
  refused("all_reduce", {data, space}, {context}, "one block", 2);
  refused("all_reduce", {data, tensor(world.data(0) + 8, 65536, DType::u8)}, {context}, "aligned");
  refused("all_reduce", {data, tensor(world.data(0), 100, DType::u8)}, {context}, "4096");
  refused("all_reduce", {data, data, space, space}, {context}, "tensor arguments");
  refused("all_reduce", {tensor(world.data(0), 16, DType::i64), space}, {context}, "no arithmetic");
  refused("all_reduce", {data, tensor(world.data(0) + 64, 8, DType::f32), space}, {context}, "sizes");
  refused("broadcast", {data, space}, {context, 2}, "root 2");
  refused("all_to_all",
          {tensor(world.data(0), 15, DType::f32), tensor(world.data(0) + 64, 15, DType::f32), space},
          {context}, "multiple of the rank count");
  refused("all_gather",
          {tensor(world.data(0), 3, DType::f32), tensor(world.data(0) + 64, 15, DType::f32), space},
          {context}, "this rank's part");
  float elsewhere[2048] = {};
  refused("barrier", {tensor(elsewhere, 2048, DType::f32)}, {context}, "not in this rank's window");
  TensorDescriptor gaps = data;
  gaps.is_contiguous = 0;
  refused("all_reduce", {gaps, space}, {context}, "gaps");
}

TEST_CASE("the foreign allreduce adds the inputs of all ranks, beginning at the root") {
  void* object =
      ::dlopen(tests::built("modules/libtroupe_allreduce_entry.so").c_str(), RTLD_NOW | RTLD_LOCAL);
  REQUIRE(object != nullptr);
  auto* entry = reinterpret_cast<void (*)(std::int64_t*)>(::dlsym(object, "kernel_entry"));
  REQUIRE((entry != nullptr));
  constexpr std::uint32_t ranks = 3;
  constexpr std::size_t count = 16384;
  World world(ranks);
  for (std::int64_t root = 0; root < ranks; ++root) {
    run_ranks(ranks, [&](std::uint32_t rank) {
      auto* in = reinterpret_cast<float*>(world.data(rank));
      float* out = in + count;
      const auto mine = input(5, rank, count, DType::f32);
      std::copy(mine.begin(), mine.end(), world.data(rank));
      CHECK(world.members[rank].barrier());
      std::array<std::int64_t, 50> words{};
      words[0] = std::bit_cast<std::int64_t>(in);
      words[1] = std::bit_cast<std::int64_t>(out);
      words[2] = ranks;
      words[3] = root;
      words[4] = static_cast<std::int64_t>(world.context(rank));
      entry(words.data());
      CHECK(world.members[rank].barrier());
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < count; ++i) {
        float sum = 0;
        put_reduced(reinterpret_cast<std::byte*>(&sum), 5, ranks, i, DType::f32, ReduceOp::sum,
                    static_cast<std::uint32_t>(root), 1, false);
        wrong += std::memcmp(&sum, out + i, 4) != 0;
      }
      CHECK(wrong == 0);
    });
  }
  ::dlclose(object);
}

}  // namespace
}  // namespace troupe::comm::test
