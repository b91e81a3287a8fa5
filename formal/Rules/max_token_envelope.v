(** rules.md, max_token_envelope: the lines that are largest somewhere. *)

From Coq Require Import Reals ZArith List Lra Lia Arith Bool.
From Compact Require Import Spec.Model Integer.Dyadic Integer.Matrix Integer.Tables Real.ScaledExp Integer.Lines Facts.
Import ListNotations.
Open Scope Z_scope.

(** By slope, then by intercept. *)
Definition line_le (a b : line) : bool := (fst a <? fst b) || ((fst a =? fst b) && (snd a <=? snd b)).

Fixpoint place (l : line) (sorted : list line) : list line :=
  match sorted with [] => [l] | x :: rest => if line_le l x then l :: sorted else x :: place l rest end.

Definition by_slope (some : list line) : list line := fold_right place [] some.

(** Nowhere above both others: for slopes that rise and intercepts that fall. *)
Definition needless (left middle right : line) : bool :=
  (fst left <? fst middle)
  && ((snd middle - snd right) * (fst middle - fst left) <=? (snd left - snd middle) * (fst right - fst middle)).

(** What is left of the lines so far, the last first, when one with no smaller slope follows. *)
Fixpoint before (hull : list line) (next : line) : list line :=
  match hull with
  | [] => []
  | last :: rest =>
      if (fst last <=? fst next)
         && ((snd last <=? snd next) || match rest with [] => false | previous :: _ => needless previous last next end)
      then before rest next else hull
  end.

Definition upper_hull (some : list line) : list line :=
  rev (fold_left (fun hull l => l :: before hull l) (by_slope some) []).

Definition written (some : list line) : list Z := flat_map (fun l => [fst l; snd l]) some.

Definition max_token_envelope (w : weights) (centre spread : matrix) : outcome fact :=
  require (centre_fits w centre) wrong_shape
  (let V := EVOU_table w in
   let P := position_table w centre in
   let unit := line_unit V P in
   Fine (Max_token_path spread
     {| rows := map (fun m => written (upper_hull (lines_of V P unit m))) (seq 0 (vocabulary w)); exponent := unit |})).

Definition value_at (l : line) (a : R) : R := (IZR (fst l) * a + IZR (snd l))%R.

(** Wherever the attention is not negative, one of [some] is not below. *)
Definition covered (some : list line) (l : line) : Prop :=
  forall a, (0 <= a)%R -> exists h, In h some /\ (value_at l a <= value_at h a)%R.

Lemma covered_trans : forall some more l, covered some l -> (forall h, In h some -> covered more h) -> covered more l.
Proof.
  intros some more l C D a A. destruct (C a A) as (h & I & le). destruct (D h I a A) as (h' & I' & le'). exists h'. split; [exact I' | lra].
Qed.

Lemma covered_in : forall some l, In l some -> covered some l.
Proof. intros some l I a _. exists l. split; [exact I | lra]. Qed.

Lemma before_covers : forall next hull l, In l (next :: hull) -> covered (next :: before hull next) l.
Proof.
  intros next. induction hull as [|last rest IH]; intros l I; cbn [before]; [now apply covered_in|].
  destruct (_ && _) eqn:T; [|now apply covered_in].
  destruct I as [<-|[<-|I]]; [apply covered_in; now left | | apply IH; now right].
  apply andb_prop in T. destruct T as [slope T]. apply Z.leb_le, IZR_le in slope. apply orb_prop in T. destruct T as [base|between].
  - apply Z.leb_le, IZR_le in base. intros a A. exists next. split; [now left|]. unfold value_at. nra.
  - destruct rest as [|previous rest]; [discriminate|]. unfold needless in between. apply andb_prop in between.
    destruct between as [rise cross]. apply Z.ltb_lt, IZR_lt in rise. apply Z.leb_le, IZR_le in cross.
    rewrite !mult_IZR, !minus_IZR in cross.
    apply (covered_trans [previous; next]).
    + intros a A. unfold value_at.
      destruct (Rle_lt_dec (IZR (fst last) * a + IZR (snd last)) (IZR (fst previous) * a + IZR (snd previous))) as [le|gt];
        [exists previous; split; [now left | exact le]|].
      exists next. split; [right; now left|].
      destruct (Rle_lt_dec (IZR (fst last) * a + IZR (snd last)) (IZR (fst next) * a + IZR (snd next))) as [le|gt']; [exact le | exfalso].
      set (sl := IZR (fst previous)) in *. set (sm := IZR (fst last)) in *. set (sr := IZR (fst next)) in *.
      set (bl := IZR (snd previous)) in *. set (bm := IZR (snd last)) in *. set (br := IZR (snd next)) in *.
      assert (X : ((sr - sm) * a < bm - br)%R) by lra. assert (Y : (bl - bm < (sm - sl) * a)%R) by lra.
      assert (((sr - sm) * a * (sm - sl) < (bm - br) * (sm - sl))%R) by (apply Rmult_lt_compat_r; lra).
      assert (((bl - bm) * (sr - sm) <= (sm - sl) * a * (sr - sm))%R) by (apply Rmult_le_compat_r; lra).
      lra.
    + intros h [<-|[<-|[]]]; apply IH; [right; now left | now left].
Qed.

Lemma hull_covers : forall sorted hull l, In l sorted \/ In l hull ->
  covered (fold_left (fun hull l => l :: before hull l) sorted hull) l.
Proof.
  induction sorted as [|next sorted IH]; intros hull l I; cbn [fold_left]; [destruct I as [[]|I]; now apply covered_in|].
  assert (now_ : In l (next :: hull) -> covered (fold_left (fun hull l => l :: before hull l) sorted (next :: before hull next)) l).
  { intros J. apply (covered_trans (next :: before hull next)); [now apply before_covers|]. intros h K. apply IH. now right. }
  destruct I as [[->|I]|I]; [apply now_; now left | apply IH; now left | apply now_; now right].
Qed.

Lemma place_in : forall l sorted x, x = l \/ In x sorted -> In x (place l sorted).
Proof.
  intros l. induction sorted as [|y rest IH]; intros x I; cbn [place]; [destruct I as [->|[]]; now left|].
  destruct (line_le l y); [destruct I as [->|I]; [now left | now right]|].
  destruct I as [->|[->|I]]; [right; apply IH; now left | now left | right; apply IH; now right].
Qed.

Lemma by_slope_in : forall some x, In x some -> In x (by_slope some).
Proof.
  induction some as [|y some IH]; intros x I; [destruct I|]. unfold by_slope in *. cbn [fold_right]. apply place_in.
  destruct I as [->|I]; [now left | right; now apply IH].
Qed.

Lemma written_length : forall some, length (written some) = (2 * length some)%nat.
Proof. induction some as [|l some IH]; [reflexivity|]. cbn [written flat_map app length] in *. unfold written in IH. rewrite IH. lia. Qed.

Lemma written_at : forall some i d, (i < length some)%nat ->
  nth (2 * i) (written some) 0 = fst (nth i some d) /\ nth (2 * i + 1) (written some) 0 = snd (nth i some d).
Proof.
  induction some as [|l some IH]; intros i d I; [simpl in I; lia|]. destruct i as [|i]; [split; reflexivity|].
  replace (2 * S i)%nat with (S (S (2 * i))) by lia. replace (S (S (2 * i)) + 1)%nat with (S (S (2 * i + 1))) by lia.
  cbn [written flat_map app nth]. apply IH. simpl in I. lia.
Qed.

Theorem max_token_envelope_sound : forall w margin centre spread f, well_formed w = true ->
  holds (model_of w) margin (Direct_path_spread centre spread) -> max_token_envelope w centre spread = Fine f ->
  holds (model_of w) margin f.
Proof.
  intros w margin centre spread f good D E. unfold max_token_envelope in E. apply require_fine in E. destruct E as [fits E].
  apply fine_eq in E. subst f. apply (lines_bound w centre good fits margin spread _ D).
  intros m n s b a Hm N I [A _]. set (unit := line_unit (EVOU_table w) (position_table w centre)) in *.
  set (row_of := fun m => written (upper_hull (lines_of (EVOU_table w) (position_table w centre) unit m))).
  destruct (row_of_each (model_of w) row_of unit m n Hm) as [r at_m]. change (d_vocab (model_of w)) with (vocabulary w) in r, at_m.
  rewrite r. unfold line_below, number, entry. cbn [rows exponent]. rewrite at_m.
  unfold row_of, upper_hull. set (some := lines_of _ _ unit m) in *.
  destruct (hull_covers (by_slope some) [] (s, b) (or_introl (by_slope_in _ _ I)) a A) as (h & J & above).
  set (hull := fold_left _ (by_slope some) []) in *.
  apply in_rev in J. apply (In_nth _ _ (0, 0)) in J. destruct J as (i & small & Eh).
  assert (small' : (i < @length line (rev hull))%nat) by exact small.
  exists i. split; [rewrite written_length; lia|].
  destruct (written_at (rev hull) i (0, 0) small) as [E1 E2].
  assert (Eh' : @nth line i (rev hull) (0, 0) = h) by exact Eh. rewrite E1, E2, Eh'. unfold value_at in above. cbn [fst snd] in above.
  pose proof (pow2_pos unit). apply Rle_trans with ((IZR (fst h) * a + IZR (snd h)) * pow2 unit)%R; [|right; ring].
  apply Rmult_le_compat_r; lra.
Qed.
