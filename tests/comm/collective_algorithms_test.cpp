// The collective algorithms alone: threads over plain memory, every result compared bit by bit with
// sequential code. No domains, no processes; those have collectives_test.cpp.

#include <doctest/doctest.h>

#include <string>

#include "collective/call.hpp"
#include "comm/collective_golden.hpp"
#include "comm/thread_team.hpp"
#include "support/random.hpp"

namespace troupe::comm::test {
namespace {

using collective::Algorithm;
using collective::Call;
using collective::Kind;

constexpr DType dtypes[] = {DType::f32, DType::f16, DType::bf16, DType::i32};
constexpr ReduceOp ops[] = {ReduceOp::sum, ReduceOp::min, ReduceOp::max};

/// Small scratch, so that staged calls need many chunks and halves are re-used.
constexpr std::uint64_t scratch = 16384;
constexpr std::uint64_t workspace = collective::lines_bytes + scratch;
constexpr std::size_t array_bytes = std::size_t{1} << 17;

struct Places {
  std::byte* in;
  std::byte* out;
};

/// Per rank: what differed, for the main thread to report.
using Complaints = std::vector<std::string>;

std::string describe(const Call& call, std::uint32_t ranks, std::uint64_t seed) {
  return "kind " + std::to_string(static_cast<int>(call.kind)) + " algorithm " +
         std::to_string(static_cast<int>(call.algorithm)) + (call.staged ? " staged" : " in windows") +
         " ranks " + std::to_string(ranks) + " count " + std::to_string(call.work.count) + " dtype " +
         std::string(runtime::name_of(call.work.dtype)) + " op " +
         std::to_string(static_cast<int>(call.work.op)) + " root " + std::to_string(call.root) + " seed " +
         std::to_string(seed);
}

/// One reduction, with everybody's input and the answers of every order of operations.
struct Case {
  Case(std::uint64_t case_seed, std::uint32_t ranks, std::size_t n, DType type, ReduceOp operation)
      : seed(case_seed), count(n), dtype(type), op(operation) {
    for (std::uint32_t r = 0; r < ranks; ++r) inputs.push_back(input(seed, r, count, dtype));
    in_order = reduced_in_order(seed, ranks, count, dtype, op);
    ring = reduced_by_ring(seed, ranks, count, dtype, op, false);
    both = reduced_by_ring(seed, ranks, count, dtype, op, true);
  }
  const std::vector<std::byte>& golden(Algorithm algorithm) const {
    if (algorithm == Algorithm::ring) return ring;
    return algorithm == Algorithm::bidirectional_ring ? both : in_order;
  }

  std::uint64_t seed;
  std::size_t count;
  DType dtype;
  ReduceOp op;
  std::vector<std::vector<std::byte>> inputs;
  std::vector<std::byte> in_order, ring, both;
};

/// Called by each rank's thread.
void check_all_reduce(ThreadTeam::Team& team, std::uint64_t own_window, Places places, const Case& test,
                      Algorithm algorithm, bool staged, std::string& complaint) {
  const std::vector<std::byte>& mine = test.inputs[team.rank()];
  const std::vector<std::byte>& expected = test.golden(algorithm);
  std::fill_n(places.out, mine.size(), std::byte{0xee});
  std::copy(mine.begin(), mine.end(), places.in);
  const Call call{
      .kind = Kind::all_reduce,
      .algorithm = algorithm,
      .staged = staged,
      .work = {places.in, places.out, test.count, test.dtype, static_cast<collective::Op>(test.op)}};
  const int status = run(team, call, own_window);
  if (status != collective::ok) {
    complaint += "status " + std::to_string(status) + ": " + describe(call, team.ranks(), test.seed) + "\n";
  } else if (!std::equal(expected.begin(), expected.end(), places.out)) {
    complaint += "wrong result: " + describe(call, team.ranks(), test.seed) + "\n";
  } else if (places.in != places.out && !std::equal(mine.begin(), mine.end(), places.in)) {
    complaint += "input changed: " + describe(call, team.ranks(), test.seed) + "\n";
  }
}

void all_reduce_everything(std::uint32_t ranks, const std::vector<Case>& tests) {
  ThreadTeam threads(ranks, workspace + 2 * array_bytes);
  Complaints complaints(ranks);
  threads.run(workspace, [&](ThreadTeam::Team& team, std::uint32_t rank) {
    std::vector<std::byte> outside(2 * array_bytes);
    std::byte* window = threads.window(rank) + workspace;
    for (const Case& test : tests) {
      const auto check = [&](Algorithm algorithm, bool staged, Places places) {
        check_all_reduce(team, threads.base(rank), places, test, algorithm, staged, complaints[rank]);
      };
      for (const Algorithm algorithm :
           {Algorithm::one_phase, Algorithm::two_phase, Algorithm::ring, Algorithm::bidirectional_ring}) {
        check(algorithm, false, {window, window});
        check(algorithm, false, {window, window + array_bytes});
      }
      for (const Algorithm algorithm : {Algorithm::one_phase, Algorithm::two_phase}) {
        check(algorithm, true, {outside.data(), outside.data()});
        check(algorithm, true, {outside.data(), outside.data() + array_bytes});
      }
    }
  });
  for (const std::string& complaint : complaints) CHECK_MESSAGE(complaint.empty(), complaint);
}

TEST_CASE(
    "all_reduce gives the documented bits for 2 to 8 ranks, every algorithm, type, operation and place") {
  for (std::uint32_t ranks = 2; ranks <= 8; ++ranks) {
    CAPTURE(ranks);
    std::vector<Case> tests;
    for (const DType dtype : dtypes) {
      for (const ReduceOp op : ops) {
        for (const std::size_t count : {0u, 1u, 31u, 65u, 257u}) {
          tests.emplace_back(first_seed() + tests.size(), ranks, count, dtype, op);
        }
      }
      // More than one chunk of scratch; the orders of operations are the same.
      tests.emplace_back(first_seed() + tests.size(), ranks, 4099, dtype, ReduceOp::sum);
    }
    all_reduce_everything(ranks, tests);
  }
}

TEST_CASE("all_reduce gives the documented bits for many ranks") {
  for (const std::uint32_t ranks : {13u, 33u, 64u}) {
    CAPTURE(ranks);
    std::vector<Case> tests;
    for (const std::size_t count : {1u, 63u, 1025u}) {
      tests.emplace_back(first_seed(), ranks, count, dtypes[(count + ranks) % 4], ReduceOp::sum);
    }
    all_reduce_everything(ranks, tests);
  }
}

TEST_CASE("a staged ring reduces every chunk as a ring of its own") {
  // Integers, so the order does not show; one chunk is 8 KiB.
  for (const std::uint32_t ranks : {2u, 3u, 5u, 8u}) {
    ThreadTeam threads(ranks, workspace);
    Complaints complaints(ranks);
    threads.run(workspace, [&](ThreadTeam::Team& team, std::uint32_t rank) {
      std::uint64_t seed = 900;
      for (const std::size_t count : {0u, 1u, 2047u, 2048u, 2049u, 20000u}) {
        for (const Algorithm algorithm : {Algorithm::ring, Algorithm::bidirectional_ring}) {
          std::vector<std::byte> data = input(++seed, rank, count, DType::i32);
          Call call{.kind = Kind::all_reduce,
                    .algorithm = algorithm,
                    .staged = true,
                    .work = {data.data(), data.data(), count, DType::i32}};
          const int status = run(team, call, threads.base(rank));
          if (status != collective::ok ||
              data != reduced_in_order(seed, ranks, count, DType::i32, ReduceOp::sum)) {
            complaints[rank] += describe(call, ranks, seed) + "\n";
          }
        }
      }
    });
    for (const std::string& complaint : complaints) CHECK_MESSAGE(complaint.empty(), complaint);
  }
}

/// What rank `rank` must hold after a call that moves bytes.
std::vector<std::byte> moved(const Call& call, std::uint32_t ranks, std::uint32_t rank, std::uint64_t seed) {
  const std::size_t count = call.work.count;
  const DType dtype = call.work.dtype;
  const std::size_t element = runtime::size_of(dtype);
  std::vector<std::byte> result;
  const auto append = [&](const std::vector<std::byte>& from, std::size_t first, std::size_t n) {
    const auto begin = from.begin() + static_cast<std::ptrdiff_t>(first * element);
    result.insert(result.end(), begin, begin + static_cast<std::ptrdiff_t>(n * element));
  };
  // Parts as the header words it: near-equal, the first count % ranks one longer.
  const auto part = [&](std::uint32_t r) { return count / ranks + (r < count % ranks ? 1 : 0); };
  switch (call.kind) {
    case Kind::all_gather:
      for (std::uint32_t r = 0; r < ranks; ++r) append(input(seed, r, part(r), dtype), 0, part(r));
      break;
    case Kind::reduce_scatter: {
      std::size_t first = 0;
      for (std::uint32_t r = 0; r < rank; ++r) first += part(r);
      append(reduced_in_order(seed, ranks, count, dtype, static_cast<ReduceOp>(call.work.op)), first,
             part(rank));
      break;
    }
    case Kind::broadcast:
      return input(seed, call.root, count, dtype);
    default:
      for (std::uint32_t r = 0; r < ranks; ++r)
        append(input(seed, r, ranks * count, dtype), rank * count, count);
  }
  return result;
}

void check_moving(ThreadTeam::Team& team, std::uint64_t own_window, Places places, Call call,
                  std::uint64_t seed, std::string& complaint) {
  const std::uint32_t n = team.ranks();
  const collective::Span own = collective::near_equal(call.work.count, n, team.rank());
  const std::size_t in_count = call.kind == Kind::all_gather   ? own.count
                               : call.kind == Kind::all_to_all ? n * call.work.count
                                                               : call.work.count;
  const std::vector<std::byte> mine = input(seed, team.rank(), in_count, call.work.dtype);
  if (call.kind == Kind::broadcast) places.in = places.out;
  if (call.in_place && call.kind == Kind::all_gather)
    places.in = places.out + own.first * call.work.element();
  if (call.in_place && call.kind == Kind::reduce_scatter) {
    places.out = places.in + own.first * call.work.element();
  }
  std::copy(mine.begin(), mine.end(), places.in);
  call.in_place = call.in_place && call.kind == Kind::all_gather;
  call.work.in = places.in;
  call.work.out = places.out;
  const int status = run(team, call, own_window);
  const std::vector<std::byte> expected = moved(call, n, team.rank(), seed);
  if (status != collective::ok || !std::equal(expected.begin(), expected.end(), places.out)) {
    complaint += "status " + std::to_string(status) + ": " + describe(call, n, seed) + "\n";
  }
}

TEST_CASE("all_gather, reduce_scatter, broadcast and all_to_all move what they must") {
  constexpr std::size_t counts[] = {0, 1, 65, 333, 1999};
  for (const std::uint32_t ranks : {2u, 3u, 5u, 8u, 64u}) {
    const std::size_t many = ranks > 8 ? 2 : 5;
    ThreadTeam threads(ranks, workspace + (ranks + 1) * array_bytes);
    Complaints complaints(ranks);
    threads.run(workspace, [&](ThreadTeam::Team& team, std::uint32_t rank) {
      std::vector<std::byte> outside((ranks + 1) * array_bytes / 4);
      std::byte* window = threads.window(rank) + workspace;
      std::uint64_t seed = first_seed() + 5000;
      for (const std::size_t count : std::span(counts).first(many)) {
        for (const DType dtype : dtypes) {
          for (const Kind kind :
               {Kind::all_gather, Kind::reduce_scatter, Kind::broadcast, Kind::all_to_all}) {
            for (const bool staged : {false, true}) {
              const std::size_t in_bytes = ranks * count * 4;
              std::byte* base = staged ? outside.data() : window;
              for (const bool in_place : {false, true}) {
                if (in_place && kind != Kind::all_gather && kind != Kind::reduce_scatter) continue;
                Call call{.kind = kind,
                          .staged = staged,
                          .in_place = in_place,
                          .root = static_cast<std::uint32_t>(seed % ranks),
                          .work = {.count = count, .dtype = dtype}};
                check_moving(team, threads.base(rank), {base, base + in_bytes}, call, ++seed,
                             complaints[rank]);
              }
            }
          }
        }
      }
    });
    for (const std::string& complaint : complaints) CHECK_MESSAGE(complaint.empty(), complaint);
  }
}

TEST_CASE("ranks that make different calls are told so, and the workspace stays closed until it is cleared") {
  ThreadTeam threads(2, workspace + array_bytes);
  int statuses[2][3] = {};
  threads.run(workspace, [&](ThreadTeam::Team& team, std::uint32_t rank) {
    std::byte* data = threads.window(rank) + workspace;
    const auto reduce_some = [&](std::size_t count) {
      const Call call{.kind = Kind::all_reduce,
                      .algorithm = Algorithm::two_phase,
                      .work = {data, data, count, DType::f32}};
      const int status = run(team, call, threads.base(rank));
      if (status != collective::ok) team.leave(7);
      return status;
    };
    statuses[rank][0] = reduce_some(100);
    statuses[rank][1] = reduce_some(rank == 0 ? 100 : 101);
    statuses[rank][2] = reduce_some(100);
  });
  for (const auto& of_rank : statuses) {
    CHECK(of_rank[0] == collective::ok);
    CHECK((of_rank[1] == collective::disagreement || of_rank[1] == collective::gave_up));
    CHECK(of_rank[2] == collective::broken);
  }
  CHECK((statuses[0][1] == collective::disagreement || statuses[1][1] == collective::disagreement));
}

TEST_CASE("a rank that leaves ends the wait of every other, and says why") {
  ThreadTeam threads(4, workspace + array_bytes);
  int statuses[4] = {};
  std::uint32_t reasons[4] = {};
  threads.run(workspace, [&](ThreadTeam::Team& team, std::uint32_t rank) {
    if (rank == 2) {
      team.leave(1014);
      return;
    }
    std::byte* data = threads.window(rank) + workspace;
    statuses[rank] = run(
        team,
        {.kind = Kind::all_reduce, .algorithm = Algorithm::two_phase, .work = {data, data, 64, DType::f32}},
        threads.base(rank));
    reasons[rank] = team.peer_reason();
    team.leave(1014);
  });
  for (const std::uint32_t rank : {0u, 1u, 3u}) {
    CHECK(statuses[rank] == collective::gave_up);
    CHECK(reasons[rank] == 1014);
  }
}

TEST_CASE("a team can be used thousands of times, with every kind of call in turn") {
  const std::uint64_t rounds = cases(2000);
  ThreadTeam threads(3, workspace + array_bytes);
  Complaints complaints(3);
  threads.run(workspace, [&](ThreadTeam::Team& team, std::uint32_t rank) {
    std::byte* data = threads.window(rank) + workspace;
    for (std::uint64_t round = 0; round < rounds && complaints[rank].empty(); ++round) {
      const std::size_t count = noise(round, 0, 0) % 700;
      Call call{.kind = Kind::all_reduce,
                .algorithm = static_cast<Algorithm>(1 + noise(round, 0, 1) % 4),
                .work = {data, data, count, DType::i32}};
      const std::vector<std::byte> mine = input(round, rank, count, DType::i32);
      std::copy(mine.begin(), mine.end(), data);
      const int status = run(team, call, threads.base(rank));
      const std::vector<std::byte> expected = reduced_in_order(round, 3, count, DType::i32, ReduceOp::sum);
      if (status != collective::ok || !std::equal(expected.begin(), expected.end(), data)) {
        complaints[rank] = describe(call, 3, round);
      }
      if (round % 7 == 0 && run(team, {.kind = Kind::barrier}, 0) != collective::ok)
        complaints[rank] = "barrier";
    }
  });
  for (const std::string& complaint : complaints) CHECK_MESSAGE(complaint.empty(), complaint);
}

}  // namespace
}  // namespace troupe::comm::test
