#include "tools/report/page.h"

namespace halftone::report {

absl::string_view ReportPageScript() {
  return R"js(
'use strict';
const data = JSON.parse(document.getElementById('data').textContent);
const kRowHeight = 31, kSpare = 12;  // pixels, as in the style; rows drawn beyond what is seen
const formats = {
  percent: value => (100 * value).toFixed(2),
  ratio: value => value.toFixed(2),
  count: value => String(value),
  number: value => value === 0 || (Math.abs(value) >= 0.001 && Math.abs(value) < 1e6)
      ? String(Number(value.toPrecision(4))) : value.toExponential(2),
};
const make = (tag, properties = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
};

// A table of which only the rows in sight are in the document.
class RowTable {
  constructor(host, columns, noun, open) {
    Object.assign(this, {columns, noun, open, size: columns[0].rows.length, sorted: null, direction: 1});
    for (const column of columns) this.prepare(column);
    this.order = Uint32Array.from({length: this.size}, (_, row) => row);  // sorted
    this.shown = this.order;                                              // sorted and filtered
    const example = `${columns[0].values[0] || ''} ${open ? 'best' : 'test_acc'}>50`;
    this.search = make('input', {type: 'search', placeholder: `Filter, such as ${example}`});
    this.search.title = this.help();
    this.search.setAttribute('aria-label', `Filter ${noun}s`);
    this.search.addEventListener('input', () => this.filter());
    const has_choice = column => column.values && column.values.length > 1 && column.values.length <= 60;
    this.selects = columns.filter(has_choice).map(column => this.select(column));
    this.count = make('span', {className: 'faint'});
    this.count.setAttribute('aria-live', 'polite');
    const clear = make('button', {type: 'button', textContent: 'Clear'});
    clear.addEventListener('click', () => {
      this.search.value = '';
      for (const select of this.selects) select.value = '';
      this.filter();
    });
    this.body = make('tbody');
    const head = make('tr', {}, ...columns.map(c => this.heading(c)));
    const width = columns.reduce((sum, column) => sum + column.width, 0);
    const table = make('table', {}, make('colgroup', {}, ...columns.map(column => {
      const col = make('col');
      col.style.width = column.width + 'px';
      return col;
    })), make('thead', {}, head), this.body);
    table.style.width = width + 'px';
    this.scroll = make('div', {className: 'scroll rows', tabIndex: 0}, table);
    this.scroll.setAttribute('role', 'region');
    this.scroll.setAttribute('aria-label', `Table of ${noun}s`);
    this.scroll.addEventListener('scroll', () => this.draw(false), {passive: true});
    addEventListener('resize', () => this.draw(true));
    this.body.addEventListener('click', event => {
      const row = event.target.closest('tr');
      if (this.open && row && row.dataset.row && !String(getSelection())) this.open(Number(row.dataset.row));
    });
    const controls = make('div', {className: 'controls'}, this.search, ...this.selects, clear, this.count);
    host.append(controls, this.scroll);
    this.filter();
  }

  help() {
    return 'Words that a row must hold, and numbers: ' +
        this.columns.filter(c => !c.values).map(c => c.id).join(', ') + ' with <, <=, =, >=, >';
  }

  // Texts in lower case and in their order, and how wide the column is.
  prepare(column) {
    let longest = Math.max(...column.title.split(' ').map(word => word.length)) + 2;
    if (column.values) {
      const {compare} = new Intl.Collator(undefined, {numeric: true});
      column.sorted = column.values.map((_, i) => i);
      column.sorted.sort((a, b) => compare(column.values[a], column.values[b]));
      column.rank = [];
      column.sorted.forEach((value, rank) => { column.rank[value] = rank; });
      column.lower = column.values.map(value => value.toLowerCase());
      for (const value of column.values) longest = Math.max(longest, value.length);
      column.text = row => column.values[column.rows[row]];
    } else {
      const format = formats[column.kind];
      for (const value of column.rows) if (value !== null) longest = Math.max(longest, format(value).length);
      column.text = row => column.rows[row] === null ? '' : format(column.rows[row]);
    }
    column.width = Math.min(Math.round(longest * 7.6), 260) + 22;
  }

  heading(column) {
    const button = make('button', {type: 'button', textContent: column.title});
    const cell = make('th', {scope: 'col', className: column.values ? 'text' : ''}, button);
    button.addEventListener('click', () => {
      // Numbers begin with the largest, texts with A; the third click restores the file's order.
      const first = column.values ? 1 : -1;
      if (this.sorted !== column) [this.sorted, this.direction] = [column, first];
      else if (this.direction === first) this.direction = -first;
      else this.sorted = null;
      for (const other of cell.parentNode.children) other.removeAttribute('aria-sort');
      if (this.sorted) cell.setAttribute('aria-sort', this.direction > 0 ? 'ascending' : 'descending');
      this.sort();
    });
    return cell;
  }

  select(column) {
    const select = make('select', {}, make('option', {value: '', textContent: `any ${column.title}`}),
        ...column.sorted.map(i => make('option', {value: i, textContent: column.values[i] || '(none)'})));
    select.setAttribute('aria-label', column.title);
    select.column = column;
    select.addEventListener('change', () => this.filter());
    return select;
  }

  sort() {
    this.order = Uint32Array.from({length: this.size}, (_, row) => row);
    if (this.sorted) {
      const {rows, rank} = this.sorted, sign = this.direction;
      const key = rank ? row => rank[rows[row]] : row => rows[row];
      this.order.sort((a, b) => {
        const x = key(a), y = key(b);
        if (x === null || y === null) return (x === null) - (y === null) || a - b;  // the unknown is last
        return sign * (x - y) || a - b;
      });
    }
    this.filter();
  }

  // A test of rows: "resnet" is in one of the texts, "best>90" compares as the column shows it.
  test(word) {
    const compared = /^(\w+)(<=|>=|<|>|=)(-?\d*\.?\d+)$/.exec(word);
    const column = compared && this.columns.find(c => c.kind && c.id === compared[1]);
    if (column) {
      const limit = Number(compared[3]), scale = column.kind === 'percent' ? 100 : 1;
      const holds = {'<': x => x < limit, '<=': x => x <= limit, '=': x => Math.abs(x - limit) < 1e-9,
        '>=': x => x >= limit, '>': x => x > limit}[compared[2]];
      return row => column.rows[row] !== null && holds(scale * column.rows[row]);
    }
    const texts = this.columns.filter(column => column.values)
        .map(column => [column.rows, column.lower.map(value => value.includes(word))]);
    return row => texts.some(([rows, holds]) => holds[rows[row]]);
  }

  filter() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(word => word);
    const tests = words.map(word => this.test(word));
    for (const {column, value} of this.selects) {
      if (value !== '') tests.push(row => column.rows[row] === Number(value));
    }
    this.shown = tests.length ? this.order.filter(row => tests.every(test => test(row))) : this.order;
    this.count.textContent = `${this.shown.length} of ${this.size} ${this.noun}s`;
    this.scroll.scrollTop = 0;
    this.draw(true);
  }

  draw(anew) {
    const seen = Math.ceil(this.scroll.clientHeight / kRowHeight) || 30;
    const begin = Math.max(0, Math.floor(this.scroll.scrollTop / kRowHeight) - kSpare);
    const end = Math.min(this.shown.length, begin + seen + 2 * kSpare);
    if (!anew && begin === this.begin && end === this.end) return;
    [this.begin, this.end] = [begin, end];
    const space = rows => {
      const cell = make('td', {colSpan: this.columns.length});
      cell.style.height = rows * kRowHeight + 'px';
      return make('tr', {className: 'space'}, cell);
    };
    const lines = [];
    if (begin > 0) lines.push(space(begin));
    for (let i = begin; i < end; ++i) lines.push(this.line(this.shown[i]));
    if (end < this.shown.length) lines.push(space(this.shown.length - end));
    if (!this.shown.length) {
      const none = make('td', {colSpan: this.columns.length, className: 'text', textContent: 'None.'});
      lines.push(make('tr', {}, none));
    }
    this.body.replaceChildren(...lines);
  }

  line(row) {
    const line = make('tr', {className: this.open ? 'open' : ''}, ...this.columns.map((column, i) => {
      const text = column.text(row);
      const cell = make('td', {className: column.values ? 'text' : '', title: column.values ? text : ''});
      const opens = this.open && i === 0;
      cell.append(opens ? make('button', {type: 'button', textContent: text || '(none)'}) : text);
      return cell;
    }));
    line.dataset.row = row;
    return line;
  }
}

const dialog = document.getElementById('run');
const openRun = row => {
  const text = id => data.runs.find(column => column.id === id).text(row);
  const names = ['model', 'activation', 'dataset', 'precision'];
  dialog.querySelector('h3').textContent = names.map(text).join(', ');
  dialog.querySelector('p').textContent = data.runs.filter(column => !names.includes(column.id))
      .map(column => [column.title, column.text(row)]).filter(([, value]) => value)
      .map(([title, value]) => `${title}: ${value}`).join('; ');
  const lines = data.configs[row].map(line => data.lines[line]);
  dialog.querySelector('pre').textContent = lines.join('\n') || 'Its config is not known.';
  dialog.showModal();
};
dialog.querySelector('button').addEventListener('click', () => dialog.close());
new RowTable(document.getElementById('runs'), data.runs, 'run', openRun);
new RowTable(document.getElementById('epochs'), data.epochs, 'epoch', null);
)js";
}

}  // namespace halftone::report
