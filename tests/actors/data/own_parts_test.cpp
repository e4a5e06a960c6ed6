// Tasks that read one part of a tensor and write another: what a chip had of it before is out of date for
// all that come after, whichever of the parts the task was given first.
#include <doctest/doctest.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "actors/data/counted.hpp"
#include "troupe/testing.hpp"

using namespace troupe;
using test::small_sims;
using testing::Simulation;

namespace {

constexpr std::uint64_t length = 16;
constexpr std::int64_t modulus = 1'000'003;

/// Part of a vector.
struct Range {
  std::uint64_t begin = 0, end = length;
  Tensor of(const Tensor& all) const { return all.rows(begin, end); }
};

template <class From, class To>
void fold(const From& from, const To& to) {
  std::int64_t sum = 1;
  for (std::size_t i = 0; i < from.size(); ++i) sum = (sum * 31 + from[i]) % modulus;
  for (std::size_t i = 0; i < to.size(); ++i)
    to[i] = (to[i] * 5 + sum + static_cast<std::int64_t>(i)) % modulus;
}

void add_fold(Simulation& sim) {
  sim.kernel("fold", [](auto& call) {
    fold(call.template tensor<const std::int64_t>(0).span(), call.template tensor<std::int64_t>(1).span());
  });
  // The same with what it writes first.
  sim.kernel("fold_back", [](auto& call) {
    fold(call.template tensor<const std::int64_t>(1).span(), call.template tensor<std::int64_t>(0).span());
  });
}

struct Ways {
  bool written_first = false;  ///< among the operands
  bool one_by_one = false;     ///< each task is a run of its own
  int chips = 2;
  int before = 0, between = 0, after = 0;  ///< on which chip the three run; -1: as a host function

  std::string text() const {
    return std::string(written_first ? "written first, " : "") + (one_by_one ? "one by one, " : "") +
           std::to_string(chips) + " chips, on " + std::to_string(before) + " " + std::to_string(between) +
           " " + std::to_string(after);
  }
};

template <class Use>
void for_each_way(Use use) {
  for (const int chips : {1, 2, 3}) {
    for (unsigned bits = 0; bits < 4; ++bits) {
      for (int before = -1; before < chips; ++before) {
        for (int after = -1; after < chips; ++after)
          use(Ways{(bits & 1U) != 0, (bits & 2U) != 0, chips, before, 0, after});
      }
    }
  }
}

void submit_fold(Orchestrator& n, const Ways& ways, int place, const Tensor& from, const Tensor& to) {
  if (place < 0) {
    n.submit_sub(
        [](HostArgs& args) { fold(args.tensor<const std::int64_t>(0), args.tensor<std::int64_t>(1)); },
        in(from), inout(to));
  } else if (ways.written_first) {
    n.submit("fold_back", inout(to), in(from), on_chip(place));
  } else {
    n.submit("fold", in(from), inout(to), on_chip(place));
  }
}

/// What two vectors hold after tasks that fold parts of them into each other.
class Pair {
 public:
  Pair(Node& node, const Ways& ways) : node_(node), ways_(ways) {
    for (int i = 0; i < 2; ++i) {
      tensors_.push_back(node.tensor<std::int64_t>({length}));
      auto view = tensors_.back().host<std::int64_t>();
      for (std::size_t k = 0; k < length; ++k) view[k] = static_cast<std::int64_t>(100 * i + k);
      expected_.emplace_back(view.begin(), view.end());
    }
  }
  void fold_on(int place, std::size_t from, Range read, std::size_t to, Range written) {
    todo_.push_back([=, this](Orchestrator& n) {
      submit_fold(n, ways_, place, read.of(tensors_[from]), written.of(tensors_[to]));
    });
    const auto& source = expected_[from];
    auto& target = expected_[to];
    const std::vector<std::int64_t> seen(source.begin() + static_cast<std::ptrdiff_t>(read.begin),
                                         source.begin() + static_cast<std::ptrdiff_t>(read.end));
    struct Part {
      std::int64_t* begin;
      std::size_t count;
      std::size_t size() const { return count; }
      std::int64_t& operator[](std::size_t i) const { return begin[i]; }
    };
    fold(seen, Part{target.data() + written.begin, written.end - written.begin});
  }
  void check() {
    if (ways_.one_by_one) {
      for (const auto& step : todo_) node_.run(step);
    } else {
      node_.run([&](Orchestrator& n) {
        for (const auto& step : todo_) step(n);
      });
    }
    for (std::size_t i = 0; i < 2; ++i) {
      const auto seen = tensors_[i].host<const std::int64_t>();
      CHECK(std::vector<std::int64_t>(seen.begin(), seen.end()) == expected_[i]);
    }
  }

 private:
  Node& node_;
  const Ways ways_;
  std::vector<Tensor> tensors_;
  std::vector<std::vector<std::int64_t>> expected_;
  std::vector<std::function<void(Orchestrator&)>> todo_;
};

}  // namespace

TEST_CASE("who reads a tensor after a task that read one part of it and wrote another sees what that wrote") {
  constexpr Range whole{}, most{1, 15};
  for_each_way([&](const Ways& ways) {
    CAPTURE(ways.text());
    for (const auto& [read, written] :
         {std::pair(Range{2, 6}, Range{7, 11}), std::pair(Range{7, 11}, Range{2, 6}),
          std::pair(Range{4, 8}, Range{8, 12}), std::pair(Range{0, 8}, Range{8, 16}),
          std::pair(Range{0, 1}, Range{1, 16})}) {
      for (const auto& [first, last] :
           {std::pair(whole, whole), std::pair(most, most), std::pair(most, whole), std::pair(whole, most)}) {
        CAPTURE(read.begin);
        CAPTURE(first.begin);
        CAPTURE(last.begin);
        Simulation sim({.chips = static_cast<actors::Count>(ways.chips)});
        add_fold(sim);
        Pair pair(sim.node(), ways);
        pair.fold_on(ways.before, 1, first, 0, whole);
        pair.fold_on(ways.between, 1, read, 1, written);
        pair.fold_on(ways.after, 1, last, 0, whole);
        pair.fold_on(ways.between, 1, written, 1, read);
        pair.fold_on(ways.before, 1, last, 0, most);
        pair.check();
      }
    }
  });
}

namespace {

constexpr std::uint32_t side = 8;

/// Part of a matrix.
struct Tile {
  std::uint32_t row = 0, column = 0, rows = side, columns = side;
  Tensor of(const Tensor& all) const { return all.view({row, column}, {rows, columns}); }
};

template <class From, class To>
void fold_tiles(const From& from, const To& to) {
  std::int64_t sum = 1;
  for (std::size_t r = 0; r < from.extent(0); ++r) {
    for (std::size_t c = 0; c < from.extent(1); ++c) sum = (sum * 31 + from(r, c)) % modulus;
  }
  for (std::size_t r = 0; r < to.extent(0); ++r) {
    for (std::size_t c = 0; c < to.extent(1); ++c)
      to(r, c) = (to(r, c) * 5 + sum + static_cast<std::int64_t>(r * side + c)) % modulus;
  }
}

/// A tile of plain numbers.
struct Plain {
  std::vector<std::int64_t>* all;
  Tile tile;
  std::size_t extent(std::size_t d) const { return d == 0 ? tile.rows : tile.columns; }
  std::int64_t& operator()(std::size_t r, std::size_t c) const {
    return (*all)[(tile.row + r) * side + tile.column + c];
  }
};

}  // namespace

TROUPE_KERNEL(own_parts_fold)(KernelArgs& k) {
  fold_tiles(k.tensor<const std::int64_t>(0), k.tensor<std::int64_t>(1));
}
TROUPE_KERNEL(own_parts_fold_back)(KernelArgs& k) {
  fold_tiles(k.tensor<const std::int64_t>(1), k.tensor<std::int64_t>(0));
}

TEST_CASE("who reads a matrix after a task that read one box of it and wrote another sees what that wrote") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  const Tile whole;
  for (const int chips : {1, 2}) {
    System system(quiet);
    auto node = system.node(small_sims(chips, 1U << 20U));
    node.load(this_module());
    for (const auto& [read, written] :
         {std::pair(Tile{0, 0, 8, 4}, Tile{0, 4, 8, 4}), std::pair(Tile{0, 4, 4, 4}, Tile{4, 0, 4, 4}),
          std::pair(Tile{1, 1, 2, 3}, Tile{4, 2, 3, 5}), std::pair(Tile{0, 0, 4, 8}, Tile{4, 1, 4, 3})}) {
      for (const bool written_first : {false, true}) {
        for (const bool one_by_one : {false, true}) {
          for (int other = 0; other < chips; ++other) {
            CAPTURE(chips);
            CAPTURE(read.column);
            CAPTURE(written.column);
            CAPTURE(written_first);
            CAPTURE(one_by_one);
            CAPTURE(other);
            std::vector<std::int64_t> expected_z(side * side, 3), expected_x(side * side, 0);
            const auto z = node.tensor<std::int64_t>({side, side}, std::int64_t{3});
            const auto x = node.tensor<std::int64_t>({side, side});
            std::vector<std::function<void(Orchestrator&)>> steps;
            const auto step = [&](const Tensor& from, Tile from_tile, const Tensor& to, Tile to_tile,
                                  int chip) {
              steps.emplace_back([=](Orchestrator& n) {
                const auto a = from_tile.of(from), b = to_tile.of(to);
                written_first ? n.submit("own_parts_fold_back", inout(b), in(a), on_chip(chip))
                              : n.submit("own_parts_fold", in(a), inout(b), on_chip(chip));
              });
            };
            step(z, whole, x, whole, 0);
            fold_tiles(Plain{&expected_z, whole}, Plain{&expected_x, whole});
            for (const auto& [from, to] : {std::pair(read, written), std::pair(written, read)}) {
              step(z, from, z, to, 0);
              fold_tiles(Plain{&expected_z, from}, Plain{&expected_z, to});
              step(z, whole, x, whole, other);
              fold_tiles(Plain{&expected_z, whole}, Plain{&expected_x, whole});
            }
            if (one_by_one) {
              for (const auto& it : steps) node.run(it);
            } else {
              node.run([&](Orchestrator& n) {
                for (const auto& it : steps) it(n);
              });
            }
            const auto zs = z.host<const std::int64_t>(), xs = x.host<const std::int64_t>();
            CHECK(std::vector<std::int64_t>(xs.begin(), xs.end()) == expected_x);
            CHECK(std::vector<std::int64_t>(zs.begin(), zs.end()) == expected_z);
          }
        }
      }
    }
  }
}

TEST_CASE("members of a group that read one part of their tensor and write another leave none out of date") {
  Simulation sim({.chips = 2});
  add_fold(sim);
  auto& node = sim.node();
  for (const bool share : {false, true}) {
    CAPTURE(share);
    const auto y = node.tensor<std::int64_t>({length}, std::int64_t{2});
    const auto z = share ? y : node.tensor<std::int64_t>({length}, std::int64_t{2});
    const auto sums = node.tensor<std::int64_t>({4});
    node.run([&](Orchestrator& n) {
      for (int i = 0; i < 2; ++i) {
        n.submit("fold", in(y), inout(sums.rows(0, 1)), on_chip(0));
        n.submit("fold", in(z), inout(sums.rows(1, 2)), on_chip(1));
        n.submit_group(
            "fold",
            {args(in(y.rows(0, 4)), inout(y.rows(4, 8))), args(in(z.rows(8, 12)), inout(z.rows(12, 16)))},
            {0, 1});
      }
      n.submit("fold", in(y), inout(sums.rows(2, 3)), on_chip(0));
      n.submit("fold", in(z), inout(sums.rows(3, 4)), on_chip(1));
    });
    std::vector<std::int64_t> ys(length, 2), apart(length, 2), total(4, 0);
    auto& zs = share ? ys : apart;
    const auto part = [](std::vector<std::int64_t>& all, std::size_t begin, std::size_t end) {
      return std::span(all).subspan(begin, end - begin);
    };
    for (int i = 0; i < 3; ++i) {
      const std::size_t at = i < 2 ? 0 : 2;
      fold(ys, part(total, at, at + 1));
      fold(zs, part(total, at + 1, at + 2));
      if (i == 2) break;
      fold(part(ys, 0, 4), part(ys, 4, 8));
      fold(part(zs, 8, 12), part(zs, 12, 16));
    }
    const auto seen = sums.host<const std::int64_t>();
    CHECK(std::vector<std::int64_t>(seen.begin(), seen.end()) == total);
  }
}

TEST_CASE("where pieces have to go because there are too many, those of the task that needs room stay") {
  test::Counted bench(2);
  bench.script.on("look", [](auto&) {});
  bench.node->add_kernel("look");
  constexpr std::uint64_t many = 4096;
  const auto x = bench.node->tensor<float>({many + 1});
  const auto row = [&](std::uint64_t i) { return x.rows(i, i + 1); };
  bench.node->run([&](Orchestrator& n) {
    for (std::uint64_t i = 0; i < many; ++i) n.submit("look", in(row(i)), on_chip(0));
  });
  CHECK(test::Counted::in == many * sizeof(float));
  bench.node->run([&](Orchestrator& n) {
    n.submit("look", in(row(10)), in(row(many)), on_chip(0));
    n.submit("look", in(row(many)), in(row(10)), on_chip(0));
  });
  CHECK(test::Counted::in == (many + 1) * sizeof(float));
}
