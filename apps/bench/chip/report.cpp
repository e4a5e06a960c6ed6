#include "chip/report.hpp"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>

namespace troupe::bench {

double Sample::median() const {
  if (runs.empty()) return 0;
  auto sorted = runs;
  std::sort(sorted.begin(), sorted.end());
  return sorted[sorted.size() / 2];
}
double Sample::least() const { return runs.empty() ? 0 : *std::min_element(runs.begin(), runs.end()); }
double Sample::most() const { return runs.empty() ? 0 : *std::max_element(runs.begin(), runs.end()); }

double Row::ratio(const std::vector<bool>& compared) const {
  double best = 0;
  for (std::size_t i = 1; i < systems.size(); ++i) {
    const double peer = systems[i].median();
    if (compared[i] && peer > 0 && (best == 0 || peer < best)) best = peer;
  }
  return best == 0 ? 0 : systems.front().median() / best;
}

void Report::print_table(const char* first, std::vector<Row> rows, const char* format) const {
  std::stable_sort(rows.begin(), rows.end(),
                   [this](const Row& a, const Row& b) { return a.ratio(compared_) > b.ratio(compared_); });
  std::printf("\n| %s |", first);
  for (const auto& system : systems_) std::printf(" %s |", system.c_str());
  std::printf(" ratio |\n|---|");
  for (std::size_t i = 0; i <= systems_.size(); ++i) std::printf("---|");
  for (const auto& row : rows) {
    std::printf("\n| %s |", row.name.c_str());
    for (const auto& sample : row.systems) {
      std::printf(" ");
      if (sample.median() == 0) {
        std::printf("-");
      } else {
        std::printf(format, sample.median());
      }
      std::printf(" |");
    }
    std::printf(" %.2f |", row.ratio(compared_));
  }
  std::printf("\n");
}

void Report::print() const {
  std::string peers;
  for (std::size_t i = 1; i < systems_.size(); ++i) {
    if (compared_[i]) peers += (peers.empty() ? "" : ", ") + systems_[i];
  }
  std::printf("ratio: troupe / best of %s; the worst first\n", peers.empty() ? "nobody" : peers.c_str());
  if (!rows_.empty()) {
    print_table("graph, kernel: ns a task", rows_, "%.0f");
    double sum = 0;
    int count = 0;
    for (const auto& row : rows_) {
      if (row.kernel_ns < 2'000 || row.ratio(compared_) == 0) continue;
      sum += std::log(row.ratio(compared_));
      ++count;
    }
    if (count != 0)
      std::printf("\ngeometric mean from 2 us on: %.3f of %d rows\n", std::exp(sum / count), count);
  }
  if (!metg_.empty()) print_table("METG(50 %): us", metg_, "%.2f");
}

std::string Report::json_of(const std::vector<Row>& rows) const {
  std::string text = "[";
  char line[256];
  for (const auto& row : rows) {
    std::snprintf(line, sizeof line,
                  "%s\n  {\"name\": \"%s\", \"kernel_ns\": %llu, \"ratio\": %.4f, \"systems\": {",
                  text.size() == 1 ? "" : ",", row.name.c_str(),
                  static_cast<unsigned long long>(row.kernel_ns), row.ratio(compared_));
    text += line;
    for (std::size_t i = 0; i < row.systems.size(); ++i) {
      const Sample& sample = row.systems[i];
      std::snprintf(line, sizeof line, "%s\"%s\": {\"median\": %.2f, \"min\": %.2f, \"max\": %.2f}",
                    i == 0 ? "" : ", ", systems_[i].c_str(), sample.median(), sample.least(), sample.most());
      text += line;
    }
    text += "}}";
  }
  return text + "]";
}

bool Report::write(const std::string& file, const std::string& how) const {
  std::ofstream out(file);
  out << "{\"how\": \"" << how << "\",\n\"graphs\": " << json_of(rows_)
      << ",\n\"metg_us\": " << json_of(metg_) << "}\n";
  return static_cast<bool>(out);
}

}  // namespace troupe::bench
