// Drives one fuzz target without libFuzzer: every corpus file, then a bounded number of mutations of them.
// The same seed gives the same inputs. An input that crashes the target is found again with
// TROUPE_SEED=<printed seed>; a file as argument instead of a folder runs that input alone.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "support/random.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Input = std::vector<std::uint8_t>;
constexpr std::size_t longest_input = 1U << 16U;

Input read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// A copy on the heap of exactly its size, so that the address sanitizer sees a read one byte past it.
void run(const Input& input) {
  const Input exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

std::size_t below(std::mt19937_64& random, std::size_t bound) { return bound == 0 ? 0 : random() % bound; }

void mutate_once(Input& input, const std::vector<Input>& corpus, std::mt19937_64& random) {
  constexpr std::uint64_t edges[] = {0,          1,          0x7F,        0x80,  0xFF,       0x7FFFFFFF,
                                     0x80000000, 0xFFFFFFFF, 1ULL << 32U, ~0ULL, 1ULL << 63U};
  const std::size_t at = below(random, input.size());
  const auto place = static_cast<std::ptrdiff_t>(at);
  switch (random() % 7) {
    case 0:  // a bit
      if (!input.empty()) input[at] ^= static_cast<std::uint8_t>(1U << random() % 8);
      break;
    case 1:  // a byte
      if (!input.empty()) input[at] = static_cast<std::uint8_t>(random());
      break;
    case 2: {  // an interesting number, 1 to 8 bytes, little-endian
      std::uint64_t number = edges[below(random, std::size(edges))] + random() % 3 - 1;
      const std::size_t width = std::size_t{1} << random() % 4;
      const std::size_t aligned = at / width * width;
      for (std::size_t i = aligned; i < std::min(aligned + width, input.size()); ++i, number >>= 8U) {
        input[i] = static_cast<std::uint8_t>(number);
      }
      break;
    }
    case 3:
      input.resize(at);
      break;  // cut
    case 4:
      input.insert(input.begin() + place, 1 + below(random, 16), std::uint8_t(random()));
      break;  // grow
    case 5:
      input.erase(input.begin() + place,
                  input.begin() + place + std::ptrdiff_t(below(random, input.size() - at)));
      break;
    default: {  // the tail of another input
      const Input& other = corpus[below(random, corpus.size())];
      const std::size_t from = below(random, other.size());
      input.resize(at);
      input.insert(input.end(), other.begin() + std::ptrdiff_t(from), other.end());
    }
  }
  if (input.size() > longest_input) input.resize(longest_input);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s <corpus folder | input file>\n", argv[0]), 2;
  const std::filesystem::path path = argv[1];
  if (std::filesystem::is_regular_file(path)) return run(read(path)), 0;

  std::vector<std::filesystem::path> files;
  if (std::filesystem::is_directory(path)) {
    for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) return std::fprintf(stderr, "no corpus in %s\n", argv[1]), 2;
  std::vector<Input> corpus;
  for (const auto& file : files) run(corpus.emplace_back(read(file)));
  run({});

  const std::uint64_t seed = troupe::test::first_seed();
  const std::uint64_t cases = troupe::test::cases(20'000);
  std::printf("%zu corpus files, %llu mutations from TROUPE_SEED=%llu\n", files.size(),
              static_cast<unsigned long long>(cases), static_cast<unsigned long long>(seed));
  std::fflush(stdout);
  std::mt19937_64 random(seed);
  for (std::uint64_t i = 0; i < cases; ++i) {
    Input input = corpus[below(random, corpus.size())];
    for (std::uint64_t step = 1 + random() % 4; step > 0; --step) mutate_once(input, corpus, random);
    run(input);
  }
  return 0;
}
