import { describe, expect, it } from 'vitest';
import { decodeCode, decodeWalls } from './pairing';

describe('pairing', () => {
  it('takes a code with its secret and asks no faster than twice a second', () => {
    const code = decodeCode({ code: '012345', secret: 's', expiresInMs: 300_000, claimEveryMs: 1 });
    expect(code).toEqual({ code: '012345', secret: 's', expiresInMs: 300_000, claimEveryMs: 500 });
    expect(() => decodeCode({ code: '012345' })).toThrow('no code');
  });

  it('reads the walls, and one of all screens as that', () => {
    const walls = decodeWalls({
      devices: [
        { id: 'a', name: '大厅', screens: ['overview'], pairedBy: 'lin', pairedAtMs: 1, seenAtMs: null },
        { id: 'b', name: 'left', screens: null, pairedBy: 'lin', pairedAtMs: 2, seenAtMs: 3 },
      ],
      waiting: [{ address: '10.0.0.7', leftMs: 5 }],
      screens: ['overview', 'wall'],
    });
    expect(walls.devices.map((device) => [device.screens, device.seenAtMs])).toEqual([
      [['overview'], undefined],
      [undefined, 3],
    ]);
    expect(walls.waiting).toEqual([{ address: '10.0.0.7', leftMs: 5 }]);
    expect(decodeWalls(null)).toEqual({ devices: [], waiting: [], screens: [] });
  });
});
