#include "examples/catalogue.hpp"

#include <algorithm>

namespace troupe::apps {
namespace {

// Static storage for the lists that examples() hands out.
const std::vector<Example> all = {
    {.name = "hello", .summary = "one task on a chip, one on the host"},
    {.name = "vector_add",
     .summary = "one kernel: copied in, computed, copied back, checked",
     .parameters = {{"elements", "16384", "length of the vectors"}}},
    {.name = "multi_chip_dispatch",
     .summary = "two chips work at the same time, the host checks",
     .chips = 2},
    {.name = "dependencies", .summary = "tags, views, scopes, explicit edges"},
    {.name = "allreduce",
     .summary = "every chip gets the sum of all: windows, groups, a kernel that reads its peers",
     .chips = 4,
     .parameters = {{"rounds", "5", "how many times"}}},
    {.name = "heat",
     .summary = "a 2-D stencil over all chips, halo rows exchanged through windows",
     .chips = 4,
     .parameters = {{"size", "128", "rows and columns of the plate"}, {"steps", "50", "of time"}}},
    {.name = "heat_rows",
     .summary = "the same stencil without windows: each chip reads its neighbours' rows",
     .chips = 4,
     .parameters = {{"size", "128", "rows and columns of the plate"}, {"steps", "50", "of time"}}},
    {.name = "cholesky",
     .summary = "one matrix in tiles, each where it was written last",
     .chips = 4,
     .parameters = {{"tiles", "6", "in each direction"}, {"tile", "32", "rows and columns of a tile"}}},
    {.name = "refine",
     .summary = "a coroutine that looks at results while it goes",
     .parameters = {{"number", "2", "whose square root"}, {"tolerance", "1e-5", "size of the last step"}}},
    {.name = "decode_loop",
     .summary = "a network token by token: a plan, recorded once and replayed",
     .parameters = {{"layers", "8", "of the network"},
                    {"width", "16", "of a layer"},
                    {"tokens", "100", "to decode"}}},
    {.name = "pipeline",
     .summary = "stage i on chip i, batches follow each other",
     .chips = 4,
     .parameters = {{"batches", "8", "how many"}}},
    {.name = "pod",
     .summary = "nodes in one process: programs that submit programs",
     .chips = 2,
     .nodes = 2,
     .parameters = {{"rows", "64", "of the matrix"}}},
    {.name = "failure_and_retry", .summary = "a failure that passes, one that stays, and who is told"},
};

constexpr ShippedKernel shipped[] = {
    {"all_reduce", "every rank gets the sum (or min, max) of all", "data, workspace | in, out, workspace",
     "context [operation [algorithm]]"},
    {"all_gather", "every rank gets the parts of all", "data, workspace | part, out, workspace", "context"},
    {"reduce_scatter", "every rank gets its part of the sum", "data, workspace | in, part, workspace",
     "context [operation]"},
    {"broadcast", "every rank gets what one has", "data, workspace", "context [root]"},
    {"all_to_all", "every rank gets a block from each", "in, out, workspace", "context"},
    {"barrier", "no rank goes on before all are there", "workspace", "context"},
};

}  // namespace

std::span<const ShippedKernel> shipped_kernels() { return shipped; }

std::span<const Example> examples() { return all; }

const Example* find_example(std::string_view name) {
  const auto it = std::ranges::find(all, name, &Example::name);
  return it == all.end() ? nullptr : &*it;
}

}  // namespace troupe::apps
