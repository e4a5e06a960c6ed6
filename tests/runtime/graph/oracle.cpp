#include "runtime/graph/oracle.hpp"

#include <algorithm>

namespace troupe::test {

using namespace runtime;

namespace {

using Places = std::vector<std::size_t>;  // sorted

class Oracle {
 public:
  explicit Oracle(const Program& program) : program_(program), base_(program.buffers, 0) {
    std::size_t size = Program::external_bytes;
    for (std::size_t b = 0; b < base_.size(); ++b) {
      base_[b] = b < program.externals.size() ? program.externals[b].address : size;
      size += b < program.externals.size() ? 0 : 512;
    }
    memory_.assign(size, 0);
    undefined_.assign(size, false);
    poisoned_.assign(size, false);
    std::fill(undefined_.begin() + Program::external_bytes, undefined_.end(), true);
  }

  std::string check(const std::vector<TaskResult>& results, const Memory& memory) {
    for (const Op& op : program_.ops) {
      if (op.kind != Op::Kind::task || !results[op.id].submitted) continue;
      const std::string complaint = step(op, results);
      if (!complaint.empty()) return "t" + std::to_string(op.id) + complaint;
    }
    for (std::size_t i = 0; i < Program::external_bytes; ++i) {
      if (!undefined_[i] && memory[i] != memory_[i]) {
        return "byte " + std::to_string(i) + " differs from the run one after the other";
      }
    }
    return {};
  }

 private:
  struct Write {
    Places places;
    std::uint64_t order;
  };

  std::size_t at(const Use& use, std::uint32_t byte) const { return base_[use.view.buffer] + byte; }
  Places places(const Use& use) const {
    Places all;
    for (const std::uint32_t byte : use.view.bytes()) all.push_back(at(use, byte));
    std::sort(all.begin(), all.end());
    return all;
  }

  std::string step(const Op& op, const std::vector<TaskResult>& results) {
    const Outcome outcome = results[op.id].outcome;
    if (outcome == Outcome::open) return " never ended";
    bool must = false, may = false, reads_undefined = false;
    for (const Use& use : op.uses) {
      if (!reads(use.tag)) continue;
      const Places here = places(use);
      for (const std::size_t p : here) {
        must |= poisoned_[p];
        reads_undefined |= undefined_[p];
      }
      may |= reads_failed_region(here);
    }
    for (const std::uint32_t t : op.after) {
      must |= t < op.id && results[t].submitted && results[t].outcome != Outcome::done;
    }
    if (must && (outcome == Outcome::done || outcome == Outcome::failed))
      return " ran on the results of a failed task";
    if (!must && !may && outcome == Outcome::poisoned && program_.exact)
      return " was poisoned without a reason";
    const bool ran = outcome == Outcome::done;
    if (ran && !op.node_only)
      execute(op, memory_, [this](const Use& use, std::uint32_t byte) { return at(use, byte); });
    for (const Use& use : op.uses) {
      if (writes(use.tag)) written(places(use), ran, op.node_only, reads_undefined);
    }
    return {};
  }

  void written(Places here, bool ran, bool node_only, bool reads_undefined) {
    for (const std::size_t p : here) {
      poisoned_[p] = !ran;
      // A node writes nothing: what was there stays.
      if (!node_only || !ran) undefined_[p] = !ran || reads_undefined;
    }
    if (ran) {
      std::erase_if(failed_, [&](const Write& f) {
        return std::includes(here.begin(), here.end(), f.places.begin(), f.places.end());
      });
    }
    (ran ? good_ : failed_).push_back({std::move(here), ++order_});
  }

  // The most that may be poisoned: readers of a region whose writer failed, unless one later write covered
  // the region, or all that is read. (Two writes that only together cover it are not looked for.)
  bool reads_failed_region(const Places& here) const {
    return std::any_of(failed_.begin(), failed_.end(), [&](const Write& f) {
      const bool meets = std::any_of(here.begin(), here.end(), [&](std::size_t p) {
        return std::binary_search(f.places.begin(), f.places.end(), p);
      });
      return meets && std::none_of(good_.begin(), good_.end(), [&](const Write& g) {
               return g.order > f.order &&
                      std::includes(g.places.begin(), g.places.end(), here.begin(), here.end());
             });
    });
  }

  const Program& program_;
  std::vector<std::size_t> base_;
  Memory memory_;
  std::vector<bool> undefined_, poisoned_;
  std::vector<Write> failed_, good_;
  std::uint64_t order_ = 0;
};

}  // namespace

std::string check_against_oracle(const Program& program, const std::vector<TaskResult>& results,
                                 const Memory& memory) {
  return Oracle(program).check(results, memory);
}

}  // namespace troupe::test
