import { describe, expect, it } from 'vitest';
import { Proof } from './proof';

describe('Proof', () => {
  it('takes the figures to be of the moment the answered ping was sent', () => {
    const proof = new Proof<string>();
    proof.asked(100);
    expect(proof.figuresAt).toBeUndefined();
    proof.answered(150);
    expect(proof.figuresAt).toBe(150);
  });

  it('takes nothing from a ping that was sent before the views were asked for', () => {
    const proof = new Proof<string>();
    proof.asked(100);
    proof.answered(90);
    expect(proof.figuresAt).toBeUndefined();
    proof.answered(110);
    proof.asked(200);
    proof.answered(190);
    expect(proof.figuresAt).toBe(110);
  });

  it('gives out a report only when the figures have come up with it, and the newest of those', () => {
    const proof = new Proof<string>();
    proof.asked(0);
    proof.heard('first', 1000);
    proof.heard('second', 2000);
    proof.heard('third', 3000);
    expect(proof.answered(900)).toBeUndefined();
    expect(proof.answered(2500)).toBe('second');
    expect(proof.answered(2600)).toBeUndefined();
    expect(proof.answered(3000)).toBe('third');
  });

  it('leaves the figures as old as they were when the line breaks, until views are asked for again', () => {
    const proof = new Proof<string>();
    proof.asked(0);
    proof.answered(500);
    proof.heard('of the old line', 600);
    proof.broken();
    expect([proof.answered(900), proof.figuresAt]).toEqual([undefined, 500]);
    proof.asked(1000);
    expect([proof.answered(1100), proof.figuresAt]).toEqual([undefined, 1100]);
  });
});
