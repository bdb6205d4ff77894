// Notices bets with money in what a browser shows it. The box judges again, by the amount.

export const name = "gambling";

export function prepare(policy) {
  const bet = /\b(?:bet|stake|wager)\w{0,4}\s{1,3}[£$€]?\d{1,6}/gi;
  return (text) => (policy.on ? Array.from(text.matchAll(bet), placed) : []);
}

function placed(found) {
  return { id: "bet", start: found.index, end: found.index + found[0].length };
}
