/**
 * The verbs of buttons and keys, by name.
 *
 * What belongs here: what each of them does with the room. What does not: which key means it (`keys.js`), how a button looks
 * (`transport.js`).
 *
 * @typedef {import("./room.js").Room} Room
 */
import { RATES } from "./player.js";

/**
 * @param {Room} room
 * @returns {Record<string, () => void>}
 */
export function verbsOf(room) {
  const { player, selection } = room;
  const flip = (/** @type {"boxes" | "masks" | "ids"} */ name) => () => {
    selection.view.change({ [name]: !selection.view.value[name] });
    room.refresh();
  };
  const faster = (/** @type {1 | -1} */ way) => () => {
    const { rate } = player.head.value;
    player.setRate((way > 0 ? RATES.find((one) => one > rate) : RATES.findLast((one) => one < rate)) ?? rate);
  };
  return {
    toggle: () => player.toggle(),
    stop: () => player.pause(),
    back: () => player.step(-1),
    on: () => player.step(1),
    backSampled: () => player.stepSampled(-1),
    onSampled: () => player.stepSampled(1),
    reverse: () => player.shuttle(-1),
    forward: () => player.shuttle(1),
    sceneBefore: () => stepScene(room, -1),
    sceneNext: () => stepScene(room, 1),
    first: () => room.seek(0),
    last: () => player.seekFrame(room.times.count - 1),
    loop: () => player.setLoop(player.head.value.loop ? null : room.scene),
    slower: faster(-1),
    faster: faster(1),
    boxes: flip("boxes"),
    masks: flip("masks"),
    ids: flip("ids"),
    sound: () => player.mute(!player.head.value.muted),
    clear: () => selection.clear(),
  };
}

/**
 * Go to the scene so many places away. Back goes to the beginning of this one first.
 * @param {Room} room
 * @param {1 | -1} steps
 */
function stepScene(room, steps) {
  const { scenes } = room.results;
  const place = scenes.findIndex((one) => one === room.scene);
  const inside = steps < 0 && place >= 0 && room.player.frame > scenes[place].start_frame;
  const wanted = scenes[Math.min(Math.max(place + (inside ? 0 : steps), 0), scenes.length - 1)];
  if (wanted) room.seek(wanted.start_seconds);
}
