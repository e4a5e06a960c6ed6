// Random programs over boxes of a few matrices, on several chips, host functions among them: afterwards the
// matrices are what the same operations leave one after the other.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "support/built.hpp"
#include "support/random.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/testing.hpp"

using namespace troupe;

namespace {

constexpr std::uint64_t side = 12;
constexpr int matrices = 3;

}  // namespace

namespace {

/// Element `i` of a box, row by row.
template <class T>
T& nth(const runtime::TensorView<T>& box, std::size_t i) {
  return box(i / box.extent(1), i % box.extent(1));
}
template <class T>
void scale(const runtime::TensorView<T>& x) {
  for (std::size_t i = 0; i < x.size(); ++i) nth(x, i) = nth(x, i) * 3 + 1;
}

}  // namespace

TROUPE_KERNEL(tiles_scale)(KernelArgs& k) { scale(k.tensor<std::int64_t>(0)); }
TROUPE_KERNEL(tiles_fold)(KernelArgs& k) {
  const auto from = k.tensor<const std::int64_t>(0);
  const auto to = k.tensor<std::int64_t>(1);
  for (std::size_t i = 0; i < to.size(); ++i) nth(to, i) = nth(to, i) * 5 + nth(from, i);
}
TROUPE_KERNEL(tiles_copy)(KernelArgs& k) {
  const auto from = k.tensor<const std::int64_t>(0);
  const auto to = k.tensor<std::int64_t>(1);
  for (std::size_t i = 0; i < to.size(); ++i) nth(to, i) = nth(from, i) + 7;
}
TROUPE_KERNEL(tiles_break)(KernelArgs& k) {
  nth(k.tensor<std::int64_t>(0), 0) = -1;
  throw std::runtime_error("as it was told to");
}

namespace {

/// A box of a matrix, seen as it is or transposed.
struct View {
  int matrix = 0;
  std::uint64_t row = 0, column = 0, rows = 1, columns = 1;
  bool transposed = false;

  std::string text() const {
    const auto range = [](std::uint64_t first, std::uint64_t count) {
      return std::to_string(first) + ":" + std::to_string(first + count);
    };
    return "m" + std::to_string(matrix) + "[" + range(row, rows) + ", " + range(column, columns) + "]" +
           (transposed ? "T" : "");
  }
  Tensor of(const std::vector<Tensor>& all) const {
    const auto box = all[static_cast<std::size_t>(matrix)].view({row, column}, {rows, columns});
    return transposed ? box.transpose() : box;
  }
  std::int64_t& at(std::vector<std::vector<std::int64_t>>& all, std::uint64_t i) const {
    const auto wide = transposed ? rows : columns;
    auto r = i / wide, c = i % wide;
    if (transposed) std::swap(r, c);
    return all[static_cast<std::size_t>(matrix)][(row + r) * side + column + c];
  }
};

bool meet(const View& a, const View& b) {
  return a.matrix == b.matrix && a.row < b.row + b.rows && b.row < a.row + a.rows &&
         a.column < b.column + b.columns && b.column < a.column + a.columns;
}

struct Operation {
  enum class Kind { scale, fold, copy, fill, move } kind = Kind::scale;
  View from, to;
  int place = -1;  ///< a chip; -1: any; -2: a host function

  std::string text() const {
    constexpr const char* names[] = {"scale", "fold", "copy", "fill", "move"};
    return std::string(names[static_cast<std::size_t>(kind)]) + " " + from.text() + " -> " + to.text() +
           " at " + std::to_string(place) + "\n";
  }
};

class Programs {
 public:
  explicit Programs(std::uint64_t seed) : random_(seed) {}

  std::uint64_t below(std::uint64_t n) { return random_() % n; }
  View view() {
    View made;
    made.matrix = static_cast<int>(below(matrices));
    // Mostly tiles of one partition; others cross it.
    if (below(4) != 0) {
      const auto tile = below(3) == 0 ? 6 : 4;
      made.row = below(side / tile) * tile, made.column = below(side / tile) * tile;
      made.rows = made.columns = tile;
      if (below(4) == 0) made.column = 0, made.columns = side;
    } else {
      made.rows = 1 + below(side), made.columns = 1 + below(side);
      made.row = below(side - made.rows + 1), made.column = below(side - made.columns + 1);
    }
    made.transposed = below(4) == 0;
    return made;
  }
  Operation operation(int chips) {
    Operation made;
    made.kind = static_cast<Operation::Kind>(below(5));
    made.to = made.from = view();
    for (int tries = 0; tries < 20; ++tries) {
      auto from = view();
      if (below(2) == 0) {
        from.rows = made.to.rows, from.columns = made.to.columns, from.transposed = made.to.transposed;
        from.row = std::min(from.row, side - from.rows),
        from.column = std::min(from.column, side - from.columns);
      } else if (from.rows * from.columns != made.to.rows * made.to.columns) {
        continue;
      }
      // Also another box of the same matrix.
      if (meet(from, made.to)) continue;
      made.from = from;
      break;
    }
    const bool same_shape = made.from.rows == made.to.rows && made.from.columns == made.to.columns &&
                            made.from.transposed == made.to.transposed;
    if (meet(made.from, made.to)) made.kind = Operation::Kind::scale;
    if (made.kind == Operation::Kind::move && !same_shape) made.kind = Operation::Kind::copy;
    made.place = static_cast<int>(below(static_cast<std::uint64_t>(chips) + 2)) - 2;
    return made;
  }

 private:
  std::mt19937_64 random_;
};

/// `breaks`: a task that fails, on the same box and in the same place.
actors::Task submit(Orchestrator& n, const std::vector<Tensor>& all, const Operation& what,
                    bool breaks = false) {
  const auto to = what.to.of(all), from = what.from.of(all);
  const auto chip = on_chip(what.place);
  const bool anywhere = what.place < 0;
  if (breaks && what.place == -2)
    return n.submit_sub([](HostArgs&) { throw std::runtime_error("as it was told to"); }, inout(to));
  if (breaks) return anywhere ? n.submit("tiles_break", inout(to)) : n.submit("tiles_break", inout(to), chip);
  switch (what.kind) {
    case Operation::Kind::scale:
      if (what.place == -2)
        return n.submit_sub([](HostArgs& args) { scale(args.tensor<std::int64_t>(0)); }, inout(to));
      return anywhere ? n.submit("tiles_scale", inout(to)) : n.submit("tiles_scale", inout(to), chip);
    case Operation::Kind::fold:
      return anywhere ? n.submit("tiles_fold", in(from), inout(to))
                      : n.submit("tiles_fold", in(from), inout(to), chip);
    case Operation::Kind::copy:
      return anywhere ? n.submit("tiles_copy", in(from), out(to))
                      : n.submit("tiles_copy", in(from), out(to), chip);
    case Operation::Kind::fill:
      return n.fill(to, std::int64_t{9});
    case Operation::Kind::move:
      return n.copy(to, from);
  }
  return {};
}

void apply(std::vector<std::vector<std::int64_t>>& all, const Operation& what) {
  std::vector<std::int64_t> read;
  for (std::uint64_t i = 0; i < what.to.rows * what.to.columns; ++i) read.push_back(what.from.at(all, i));
  for (std::uint64_t i = 0; i < read.size(); ++i) {
    auto& element = what.to.at(all, i);
    switch (what.kind) {
      case Operation::Kind::scale:
        element = element * 3 + 1;
        break;
      case Operation::Kind::fold:
        element = element * 5 + read[i];
        break;
      case Operation::Kind::copy:
        element = read[i] + 7;
        break;
      case Operation::Kind::fill:
        element = 9;
        break;
      case Operation::Kind::move:
        element = read[i];
        break;
    }
  }
}

}  // namespace

TEST_CASE("boxes of matrices on several chips hold what the operations leave one after the other") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  System system(quiet);
  NodeConfig config;
  config.platform = tests::built("lib/libtroupe_a2a3sim.so");
  config.chips = 3;
  config.sub_workers = 1;
  // A chip has room for a few pieces only.
  config.device_options = {{"memory_bytes", std::to_string(16U << 10U)}};
  const auto node = system.node(config);
  node.load(this_module());
  const auto first = test::first_seed();
  for (std::uint64_t seed = first; seed < first + test::seeds(200); ++seed) {
    CAPTURE(seed);
    std::string program;
    Programs programs(seed);
    std::vector<Tensor> all;
    std::vector<std::vector<std::int64_t>> expected;
    for (int i = 0; i < matrices; ++i) {
      all.push_back(node.tensor<std::int64_t>({side, side}, i));
      expected.emplace_back(side * side, i);
    }
    for (int run = 0; run < 2; ++run) {
      std::vector<Operation> operations;
      for (std::uint64_t i = 0; i < 8 + programs.below(24); ++i) operations.push_back(programs.operation(3));
      node.run([&](Orchestrator& n) {
        for (const auto& what : operations) submit(n, all, what);
      });
      for (const auto& what : operations) apply(expected, what);
      for (const auto& what : operations) program += what.text();
    }
    CAPTURE(program);
    for (int i = 0; i < matrices; ++i) {
      const auto seen = all[static_cast<std::size_t>(i)].host<const std::int64_t>();
      REQUIRE(std::vector<std::int64_t>(seen.begin(), seen.end()) == expected[static_cast<std::size_t>(i)]);
    }
  }
}

namespace {

/// Which boxes have no valid bytes, by the rules of the documentation: what a failed task was to write, until
/// one task writes all of that without reading it.
class Losses {
 public:
  bool meet(const View& view) const {
    return std::any_of(lost_.begin(), lost_.end(), [&](const View& lost) { return ::meet(lost, view); });
  }
  /// Some element of it has not been written since.
  bool touch(const View& view) const {
    bool some = false;
    for_each(view, [&](const Element& element) { some = some || elements_.contains(element); });
    return some;
  }
  void add(const View& view) {
    lost_.push_back(view);
    for_each(view, [&](const Element& element) { elements_.insert(element); });
  }
  void written(const View& view) {
    for_each(view, [&](const Element& element) { elements_.erase(element); });
    std::erase_if(lost_, [&](const View& lost) {
      return lost.matrix == view.matrix && view.row <= lost.row &&
             lost.row + lost.rows <= view.row + view.rows && view.column <= lost.column &&
             lost.column + lost.columns <= view.column + view.columns;
    });
  }

 private:
  using Element = std::pair<int, std::uint64_t>;
  template <class Visit>
  static void for_each(const View& view, Visit visit) {
    for (auto row = view.row; row < view.row + view.rows; ++row) {
      for (auto column = view.column; column < view.column + view.columns; ++column)
        visit(Element{view.matrix, row * side + column});
    }
  }

  std::vector<View> lost_;
  std::set<Element> elements_;
};

bool reads_target(const Operation& what) {
  return what.kind == Operation::Kind::scale || what.kind == Operation::Kind::fold;
}
bool reads_source(const Operation& what) {
  return what.kind != Operation::Kind::scale && what.kind != Operation::Kind::fill;
}

}  // namespace

TEST_CASE("boxes that failed tasks were to write are lost, and no others, until they are written again") {
  const SystemConfig quiet{.log = [](int, std::string_view, std::string_view) {}};
  const auto first = test::first_seed();
  for (const int chips : {1, 3}) {
    System system(quiet);
    NodeConfig config;
    config.platform = tests::built("lib/libtroupe_a2a3sim.so");
    config.chips = chips;
    config.sub_workers = 1;
    config.device_options = {{"memory_bytes", std::to_string(16U << 10U)}};
    const auto node = system.node(config);
    node.load(this_module());
    for (std::uint64_t seed = first; seed < first + test::seeds(60); ++seed) {
      CAPTURE(chips);
      CAPTURE(seed);
      std::string program, wrong;
      Programs programs(seed);
      Losses losses;
      std::vector<Tensor> all;
      std::vector<std::vector<std::int64_t>> expected;
      for (int i = 0; i < matrices; ++i) {
        all.push_back(node.tensor<std::int64_t>({side, side}, i));
        expected.emplace_back(side * side, i);
      }
      for (int run = 0; run < 2; ++run) {
        Losses skipped;  // of this run alone: boxes that tasks which did not begin would have written
        node.run([&](Orchestrator& n) {
          for (std::uint64_t i = 0; i < 6 + programs.below(12) && wrong.empty(); ++i) {
            const auto what = programs.operation(chips);
            const bool breaks = programs.below(4) == 0;
            program += (breaks ? "break: " : "") + what.text();
            const bool reads_to = breaks || reads_target(what), reads_from = !breaks && reads_source(what);
            const auto is_read = [&](const auto& bad) {
              return (reads_to && bad(what.to)) || (reads_from && bad(what.from));
            };
            const bool refused =
                is_read([&](const View& view) { return losses.meet(view) || skipped.touch(view); });
            // What was skipped is known box by box: of one that was written anew in parts either answer is
            // right.
            const bool may_be = refused || is_read([&](const View& view) { return skipped.meet(view); });
            enum { well, failed, not_run } end = well;
            std::string said;
            try {
              submit(n, all, what, breaks).wait();
            } catch (const Error& error) {
              end = error == actors::Errc::task_failed ? failed : not_run;
              said = error.message();
            }
            if (end == not_run ? !may_be : refused || (end == failed) != breaks)
              wrong = "ended otherwise: " + what.text() + said;
            if (end == not_run) {
              skipped.add(what.to);
            } else if (end == failed) {
              losses.add(what.to);
            } else {
              apply(expected, what);
              if (reads_target(what)) continue;
              losses.written(what.to);
              skipped.written(what.to);
            }
          }
        });
      }
      for (int k = 0; k < 12 && wrong.empty(); ++k) {
        auto view = programs.view();
        view.transposed = false;
        bool readable = true, right = true;
        node.run([&](Orchestrator& n) {
          try {
            const auto seen = n.read_all<std::int64_t>(view.of(all)).get();
            for (std::uint64_t i = 0; i < seen.size(); ++i) right = right && seen[i] == view.at(expected, i);
          } catch (const Error&) {
            readable = false;
          }
        });
        if (readable == losses.meet(view) || !right) wrong = "seen otherwise: " + view.text();
      }
      CAPTURE(program);
      CHECK_MESSAGE(wrong.empty(), wrong);
      if (!wrong.empty()) return;
      node.run([&](Orchestrator& n) {
        for (const auto& matrix : all) n.fill(matrix, std::int64_t{4});
      });
      for (const auto& matrix : all) CHECK(matrix.host<const std::int64_t>()[side * side - 1] == 4);
    }
  }
}
